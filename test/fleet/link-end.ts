// Started by link.ts in a network namespace of its own: the near end of a link. The far one has a namespace, too, and both are gone with
// this process, which goes with the one that started it, however that ends.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { LinkTold, LinkWish } from './link.ts';

const [ip = 'ip', listeners = '0'] = process.argv.slice(2);
const near = '10.77.0.1';
const far = '10.77.0.2';

// Nobody but these two sees the addresses, so they clash with nobody's.
const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo; exec cat'], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
await once(holder.stdout, 'data');
const atFar = (...args: string[]) =>
  execFileSync('nsenter', [`--net=/proc/${holder.pid}/ns/net`, ip, ...args], { stdio: 'inherit' });
const atNear = (...args: string[]) => execFileSync(ip, args, { stdio: 'inherit' });
atNear('link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far', 'netns', String(holder.pid));
atNear('addr', 'add', `${near}/30`, 'dev', 'near');
atNear('link', 'set', 'near', 'up');
atFar('addr', 'add', `${far}/30`, 'dev', 'far');
atFar('link', 'set', 'lo', 'up');
atFar('link', 'set', 'far', 'up');

const tell = (told: LinkTold) => process.send?.(told);
for (let made = 0; made < Number(listeners); made += 1) {
  // Who accepts is the other process: the address is of the namespace that a socket was made in.
  const server = createServer().listen(0, near);
  await once(server, 'listening');
  process.send?.({ listener: made } satisfies LinkTold, server, {}, () => server.close());
}
process.on('message', (wish: LinkWish) => {
  atNear('link', 'set', 'near', wish);
  tell({ link: wish });
});
process.on('disconnect', () => process.exit());
tell({ ready: holder.pid ?? 0 });
