import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { within } from '#test/until.ts';

export interface Proxy {
  endpoint: string;
  /** Takes nobody in, and ends who is there. */
  block(): void;
  open(): void;
  /** Ends whoever is there; who comes again is taken in. */
  cut(): void;
  /** Whoever comes from now on is ended after so many bytes from the server. */
  cutAfter(bytes: number): void;
  /**
   * Keeps every connection, and lets nothing through any more: a half-open line. Requests alone, or answers alone, where a way is
   * named. What was held back has no place in a stream that goes on, so `open` ends whom it hit.
   */
  freeze(way?: 'requests' | 'answers'): void;
  /** Whoever comes from now on reaches another server. */
  redirect(target: string): void;
  /** When somebody comes in next. */
  visited(): Promise<void>;
  close(): Promise<void>;
}

/** A line to a server on loopback that a test may cut; on a listener of its own, or on one that somebody has opened elsewhere. */
export async function startProxy(target: string, listener?: Server): Promise<Proxy> {
  let [host = '', port = ''] = target.split(':');
  /** Ends of streams that have lost something. */
  const torn = new Set<() => void>();
  const pairs = new Set<[Socket, Socket]>();
  let blocked = false;
  let frozen = { requests: false, answers: false };
  let limit = Infinity;
  let tellVisit = () => {};
  let closed: Promise<unknown> | null = null;
  const cut = () => {
    for (const pair of [...pairs]) for (const socket of pair) socket.destroy();
  };
  const server = listener ?? createServer().listen(0, '127.0.0.1');
  server.on('connection', (client) => {
    if (blocked) return client.destroy();
    tellVisit();
    const upstream = connect(Number(port), host);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    let left = limit;
    const end = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    client.on('data', (data) => {
      if (frozen.requests) torn.add(end);
      else upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (frozen.answers) {
        torn.add(end);
        return;
      }
      const part = data.subarray(0, Math.min(left, data.length));
      left -= part.length;
      client.write(part, () => {
        if (left <= 0) end();
      });
    });
  });
  if (!server.listening) await once(server, 'listening');
  const { address, port: at } = server.address() as AddressInfo;
  return {
    endpoint: `${address}:${at}`,
    block() {
      blocked = true;
      cut();
    },
    open() {
      blocked = false;
      frozen = { requests: false, answers: false };
      for (const end of torn) end();
      torn.clear();
      limit = Infinity;
    },
    cut,
    cutAfter(bytes) {
      limit = bytes;
    },
    freeze(way) {
      frozen = { requests: way !== 'answers', answers: way !== 'requests' };
    },
    redirect(other) {
      [host = '', port = ''] = other.split(':');
    },
    visited() {
      const came = new Promise<void>((resolve) => {
        tellVisit = resolve;
      });
      return within(`a connection to ${target}`, came, () => `${pairs.size} connections`);
    },
    async close() {
      cut();
      closed ??= once(server.close(), 'close');
      await closed;
    },
  };
}
