import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * AWS's Parameter Store as far as functions ask it: pages of ten, secrets only to who asks for them decrypted, access that may be
 * denied. The ring `infra` asks moto the same.
 */
export interface ParameterStore {
  /** For AWS_ENDPOINT_URL_SSM. */
  url: string;
  /** Whole name to value. */
  values: Map<string, string>;
  denied: boolean;
  /** How many pages were asked for. */
  asked: number;
  stop(): Promise<void>;
}

const pageSize = 10;

export async function startParameterStore(): Promise<ParameterStore> {
  const server = createServer(async (request, response) => {
    let sent = '';
    for await (const chunk of request.setEncoding('utf8')) sent += chunk;
    const { Path, NextToken = '0', WithDecryption } = JSON.parse(sent);
    const answer = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
    store.asked += 1;
    if (!String(request.headers['x-amz-target']).endsWith('.GetParametersByPath'))
      return answer(400, { __type: 'InvalidAction' });
    if (store.denied) return answer(400, { __type: 'AccessDeniedException', Message: 'not authorized' });
    const found = [...store.values].filter(([name]) => name.startsWith(`${Path}/`)).sort();
    const from = Number(NextToken);
    const Parameters = found.slice(from, from + pageSize).map(([Name, Value]) => ({
      ...{ Name, Type: 'SecureString', Version: 1 },
      Value: WithDecryption === true ? Value : 'AQICAHh-still-encrypted',
    }));
    const more = from + pageSize < found.length;
    answer(200, { Parameters, ...(more ? { NextToken: String(from + pageSize) } : {}) });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const store: ParameterStore = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    values: new Map(),
    denied: false,
    asked: 0,
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return store;
}
