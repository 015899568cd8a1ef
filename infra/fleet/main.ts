import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startFleet } from './fleet.ts';

// npm run fleet [-- --data FOLDER] [--port N]: a small fleet on this machine, to look at and to pull plugs of.

const restartMs = 5_000;
// Listened for before anything is started, so that an early Ctrl-C leaves nothing behind.
const stopped = new Promise<void>((done) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => done());
});
try {
  const { values } = parseArgs({
    options: {
      data: { type: 'string', default: '.cronfleet/fleet' },
      port: { type: 'string', default: '8787' },
    },
  });
  const fleet = await startFleet({
    folder: resolve(values.data),
    port: Number(values.port),
    restartMs,
    tell: (line) => console.error(line),
  });
  const { url, token, servers, agents, etcd, history } = fleet.file();
  console.log(`cronfleet fleet is up: ${url}/#token=${token}`);
  for (const [at, part] of servers.entries()) console.log(`  server${at + 1}  pid ${part.pid}  ${part.url}`);
  for (const { id, pid } of agents) console.log(`  ${id}   pid ${pid}`);
  for (const { name, pid } of etcd) console.log(`  etcd ${name}  pid ${pid}`);
  console.log(`  history  pid ${history.pid}  ${history.url}`);
  await stopped;
  console.error('stopping; running jobs live on');
  await fleet.stop();
} catch (error) {
  console.error(`cronfleet fleet: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
