import { credentials, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { Host } from 'etcd3/lib/connection-pool.js';

/** A server of gRPC that says no more than which etcd it is, `asked` being told of its nth answer before; null: it is none. */
export async function fakeEtcd(
  status: { version: string } | null,
  asked: (nth: number) => void = () => {},
): Promise<{ endpoint: string; close(): void }> {
  const server = new Server();
  let answers = 0;
  const client = new Host('127.0.0.1:1', credentials.createInsecure()).getServiceClient('Maintenance');
  const { service } = client.constructor as unknown as { service: ServiceDefinition };
  if (status !== null)
    server.addService(service, {
      status: (_: unknown, answer: (error: null, value: object) => void) => {
        asked(answers++);
        answer(null, { header: { cluster_id: '1' }, leader: '1', ...status });
      },
    });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
  return {
    endpoint: `127.0.0.1:${port}`,
    close() {
      client.close();
      server.forceShutdown();
    },
  };
}
