#!/usr/bin/env node
// `cronfleet` where it is installed. Any Node may find this file first, so it is plain JavaScript without packages: it hands over to a
// Node that runs TypeScript, this one or the project's own.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const own = join(root, 'node_modules/.bin/node');
const least = 24;

if (Number(process.versions.node.split('.')[0]) >= least) await import('./main.ts');
else if (existsSync(own) && realpathSync(own) !== realpathSync(process.execPath)) handOver();
else {
  process.stderr.write(
    `cronfleet needs Node ${least} or newer, and this is ${process.versions.node}. Its own comes with: npm ci --include=dev (in ${root})\n`,
  );
  process.exitCode = 3;
}

/** A process of its own, since Node cannot replace itself; signals go through, and its end is ours. */
function handOver() {
  const child = spawn(own, [join(root, 'worker-agent/cli/main.ts'), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`cronfleet: ${own} can't be started: ${error.message}\n`);
    process.exit(3);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    // The handler above would keep it from ending as its child did.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
