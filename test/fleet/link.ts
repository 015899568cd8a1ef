import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { findIp } from '#infra/deploy/find-ip.ts';

/** A cable between this machine and a network namespace that knows no other. */
export interface Link {
  /** What a command is put behind to be run at the far end. */
  behind: readonly string[];
  /** Reached from the far end alone; they accept here. */
  listeners: readonly Server[];
  /** Pulls it: packets of both directions vanish, and no end of a connection is told. */
  pull(): Promise<void>;
  /** Plugs it in again: what is still being sent anew arrives, late. */
  plug(): Promise<void>;
  close(): Promise<void>;
}

export type LinkWish = 'down' | 'up';
export type LinkTold = { listener: number } | { link: LinkWish } | { ready: number };

const end = fileURLToPath(new URL('link-end.ts', import.meta.url));

/** `missing`: why there can be none here. */
export async function openLink(listeners: number): Promise<Link | { missing: string }> {
  if (process.getuid?.() !== 0) return { missing: 'network namespaces are for root' };
  const ip = await findIp();
  if ('missing' in ip) return ip;
  const child = spawn('unshare', ['--net', process.execPath, end, ip.path, String(listeners)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, ...ip.env },
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const taken: Server[] = [];
  const far = await new Promise<number | null>((resolve) => {
    child.on('message', (told: LinkTold, handle) => {
      if ('listener' in told) taken[told.listener] = handle as Server;
      else if ('ready' in told) resolve(told.ready);
    });
    // `close` and not `exit`: by then all that it had to say is here.
    child.once('close', () => resolve(null));
    child.once('error', ({ message }) => {
      said += message;
      resolve(null);
    });
  });
  if (far === null) return { missing: `no network namespace could be made: ${said.trim().split('\n')[0]}` };
  return {
    behind: ['nsenter', `--net=/proc/${far}/ns/net`],
    listeners: taken,
    pull: () => wish(child, 'down'),
    plug: () => wish(child, 'up'),
    async close() {
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
}

async function wish(child: ChildProcess, what: LinkWish): Promise<void> {
  const done = once(child, 'message');
  child.send(what);
  await done;
}
