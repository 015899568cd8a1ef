import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** Where we look: above what services have, and below what the kernel gives to whoever asks for any port, which may be ours by then. */
const lowest = 10_240;
const kernelsOwn = 32_768;
/** A port is used a while after it was looked for, and seconds may pass: here nobody is given one that somebody else has. */
const given = new Set<number>();

/** Ports on loopback that were free a moment ago, all of them different. */
export async function freePorts(count: number): Promise<number[]> {
  const end = Math.max(lowest + 10_000, lowestOfKernel());
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(lowest, end);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
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
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    await new Promise((resolve) => server.close(resolve));
    return true;
  } catch {
    // In use, or not ours to take.
    return false;
  }
}
