import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type ListenOptions, type Server } from 'node:net';

/** Where we look: above what services have, and below what the kernel gives to whoever asks for any port, which may be ours by then. */
const lowest = 10_240;
const kernelsOwn = 32_768;
/** A port is used a while after it was looked for, and seconds may pass: until this process ends nobody else is given it. */
const given = new Set<number>();

/** Ports on loopback that were free a moment ago, all of them different. */
export async function freePorts(count: number): Promise<number[]> {
  const end = Math.max(lowest + 10_000, lowestOfKernel());
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(lowest, end);
    if ((await reserve(port)) && (await isFree(port))) ports.push(port);
  }
  return ports;
}

/** Whether it is ours alone: of all processes of this host, by a socket of that name in the abstract namespace, where there is one (Linux). */
async function reserve(port: number): Promise<boolean> {
  if (given.has(port)) return false;
  given.add(port);
  if (process.platform !== 'linux') return true;
  const holder = await listening({ path: `\0cronfleet-port-${port}` });
  holder?.unref();
  return holder !== null;
}

function lowestOfKernel(): number {
  try {
    return Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
  } catch {
    // Not Linux, where those are higher still.
    return kernelsOwn;
  }
}

/** Whether nobody listens there now. */
export async function isFree(port: number): Promise<boolean> {
  const server = await listening({ port, host: '127.0.0.1' });
  if (server === null) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

/** Null: it is in use, or not ours to take. */
async function listening(where: ListenOptions): Promise<Server | null> {
  const server = createServer();
  try {
    await once(server.listen(where), 'listening');
    return server;
  } catch {
    return null;
  }
}
