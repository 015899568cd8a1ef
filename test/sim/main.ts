// npm run sim -- --seed N: replays one seed, telling all that happens. --seeds N: runs that many, from --seed on.
import { parseArgs } from 'node:util';
import { simulate } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '2' },
    workers: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
  },
});
const [seed, seeds, minutes, workers] = [values.seed, values.seeds, values.minutes, values.workers].map(
  Number,
);
const first = seed ?? 1;
const count = seeds ?? 1;
const verbose = values.verbose || count === 1;
const began = performance.now();
let starts = 0;
let broken = 0;
for (let at = first; at < first + count; at++) {
  const result = await simulate({
    seed: at,
    ...(workers === undefined ? {} : { workers }),
    ...(minutes === undefined ? {} : { minutes }),
    ...(verbose ? { tell: console.log } : {}),
  });
  starts += result.starts;
  if (verbose)
    console.log(`${result.starts} starts, ${result.steps} steps, ${result.crashes} crashes, ${result.hash}`);
  if (result.violations.length === 0) continue;
  broken += 1;
  console.log(`npm run sim -- --seed ${at} --minutes ${minutes} --workers ${workers}`);
  for (const { property, at: when, what } of result.violations.slice(0, verbose ? 100 : 4))
    console.log(`  ${property} at ${(when / 1_000).toFixed(3)}: ${what}`);
}
const seconds = (performance.now() - began) / 1_000;
console.log(
  `${count} seeds, ${broken} broken, ${starts} starts, ${Math.round((count / seconds) * 60)} seeds a minute`,
);
process.exitCode = broken > 0 ? 1 : 0;
