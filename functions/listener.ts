import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import { Refusal } from '#core/model/refusal.ts';

/** A port that answers HTTP. */
export interface Listener {
  /** How a browser may call it, where it listens on loopback; null: it is reached by names that it can't know. */
  hosts: (() => readonly string[]) | null;
  /** Where it is reached. Refusals `port_taken`, `address_unusable`. */
  listen(fetch: (request: Request) => Response | Promise<Response>): Promise<string>;
  /**
   * Takes nothing more. What is being answered has until `patience` settles, and is cut off then: a long poll would hold it for half
   * a minute. Left out, at once.
   */
  close(patience?: Promise<unknown>): Promise<void>;
}

export function listener({ host, port }: { host: string; port: number }): Listener {
  const name = host.includes(':') ? `[${host}]` : host;
  let server: ServerType | null = null;
  let closing = false;
  const portOf = () => (server?.address() as AddressInfo | null)?.port;
  return {
    hosts: /^(127\.|localhost$|::1$)/.test(host) ? () => hostsOf(name.toLowerCase(), portOf()) : null,
    async listen(fetch) {
      const opened = serve({ fetch, hostname: host, port });
      // A connection whose request has been answered is idle a moment later; left to itself it would stand for seconds yet.
      opened.on('request', (_, response) =>
        response.once('close', () => closing && setImmediate(closeIdle, opened)),
      );
      await new Promise<void>((resolve, reject) => {
        opened.once('listening', resolve);
        opened.once('error', (error) => reject(refusalOf(error, `--listen ${name}:${port}`)));
      });
      server = opened;
      return `http://${name}:${portOf()}`;
    },
    async close(patience = Promise.resolve()) {
      const opened = server;
      if (opened === null) return;
      closing = true;
      const cutOff = () => 'closeAllConnections' in opened && opened.closeAllConnections();
      await new Promise<void>((resolve) => {
        opened.close(() => resolve());
        void patience.then(cutOff);
      });
    },
  };
}

function closeIdle(server: ServerType): void {
  if ('closeIdleConnections' in server) server.closeIdleConnections();
}

function refusalOf(error: Error, where: string): Error {
  const code = 'code' in error ? error.code : null;
  if (code === 'EADDRINUSE')
    return new Refusal('port_taken', `${where}: is in use already; expected a free port (0 takes one)`);
  if (code === 'EADDRNOTAVAIL' || code === 'EACCES' || code === 'ENOTFOUND')
    return new Refusal(
      'address_unusable',
      `${where}: ${error.message}; expected an address of this host and a port that is free to us`,
    );
  return error;
}

/** How a browser on this machine may call a server on loopback; of port 80 it says nothing. */
function hostsOf(name: string, port: number | undefined): string[] {
  const names = [...new Set(['127.0.0.1', 'localhost', '[::1]', name])];
  return names.flatMap((one) => (port === 80 ? [one, `${one}:80`] : [`${one}:${port}`]));
}
