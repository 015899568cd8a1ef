import { program } from './program.ts';
import { terminalOf } from './terminal.ts';

// A pipe that was closed (| head) is no fault of anybody's.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

let onInterrupt: string | null = null;
const interrupted = () => {
  if (onInterrupt !== null) process.stderr.write(`\n${onInterrupt}\n`);
  process.exit(130);
};

const code = await program(process.argv.slice(2), {
  env: process.env,
  terminal: terminalOf(process.stdin, process.stdout, process.stderr),
  fetch,
  now: () => Date.now(),
  onInterrupt(text) {
    // Only while there is something to say: `up` has an answer of its own to Ctrl-C.
    if (onInterrupt === null && text !== null) process.on('SIGINT', interrupted);
    if (text === null) process.off('SIGINT', interrupted);
    onInterrupt = text;
  },
});
// A connection that fetch keeps open must not keep the process; what was written goes out first.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))),
);
process.exit(code);
