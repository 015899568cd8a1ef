// npm run chaos [-- --minutes M] [--seed N] [--agents N]: a fleet of real processes under faults, and what became of its instants.
import { parseArgs } from 'node:util';
import { chaos } from './chaos.ts';
import { report } from './report.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    agents: { type: 'string', default: '3' },
  },
});
const verdict = await chaos({
  seed: Number(values.seed),
  faultMs: Number(values.minutes) * 60_000,
  agents: Number(values.agents),
  tell: console.log,
});
console.log(report(verdict));
process.exitCode = verdict.breaches.length === 0 ? 0 : 1;
