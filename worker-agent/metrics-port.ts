import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Refusal } from '#core/model/refusal.ts';

/** Serves Prometheus text under /metrics to this host alone, so it asks for no token. Port 0 takes a free one. Refusal `port_taken`. */
export async function metricsPort(
  port: number,
  text: () => Promise<string>,
): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('here is GET /metrics only\n');
      return;
    }
    text().then(
      (body) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        'code' in error && error.code === 'EADDRINUSE'
          ? new Refusal(
              'port_taken',
              `--metrics ${port}: is in use already; expected a free port (0 takes one)`,
            )
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
