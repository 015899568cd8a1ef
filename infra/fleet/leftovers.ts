import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { partsOf, readFleetFile } from './fleet-file.ts';

/** Held while a fleet runs, and gone with its process however that ends: one fleet a folder. */
export async function holdFolder(folder: string, port: number): Promise<Server> {
  const held = createServer((socket) => socket.destroy());
  held.listen(port, '127.0.0.1');
  try {
    await once(held, 'listening');
  } catch (error) {
    const pid = readFleetFile(folder)?.pid;
    throw new Error(
      `${folder}: a fleet is running from it already (pid ${pid}), or another program has its port ${port}; expected a folder of its own (--data)`,
      { cause: error },
    );
  }
  return held;
}

/** Whether this process lives and works on that folder: a pid alone may be anybody's by now. */
function worksOn(pid: number, folder: string): boolean {
  try {
    const state = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
    const told = readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8');
    return state !== 'Z' && told.includes(folder);
  } catch {
    // It is gone, or nobody of ours.
    return false;
  }
}

/** What a fleet whose keeper was killed has left running is ended, or the new parts would meet the old ones. Gives how many. */
export async function endLeftovers(folder: string): Promise<number> {
  const left = readFleetFile(folder);
  if (left === null) return 0;
  const parts = partsOf(left).filter((pid) => worksOn(pid, folder));
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const pid of parts) if (worksOn(pid, folder)) process.kill(pid, signal);
    for (let waited = 0; waited < 10_000 && parts.some((pid) => worksOn(pid, folder)); waited += 50)
      await sleep(50);
  }
  return parts.length;
}
