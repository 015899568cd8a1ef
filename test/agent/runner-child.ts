import { writeSync } from 'node:fs';
import { planOf, RunnerHost, tagged } from './runner-host.ts';

// An agent of which only the runner is there, to be killed at a step: it says `there` and waits for that.
//   runner-child.ts DIR STEP COMMAND

const [dir = '', step = '', command = ''] = process.argv.slice(2);
const host = await new RunnerHost({}, dir).adopt();
const plan = planOf('job', { command, stdin: 'fed' });
/** Woken while it is stopped a wrapper runs nothing of its own. */
async function letGoAsleep(): Promise<void> {
  for (const pid of tagged(plan.run)) process.kill(pid, 'SIGSTOP');
  await host.release(plan.gate);
}
const steps: [name: string, take: () => Promise<unknown>][] = [
  ['arm', () => host.arm(plan)],
  ['claim', () => host.claim(plan)],
  ['asleep', async () => step === 'asleep' && (await letGoAsleep())],
  ['release', () => host.release(plan.gate)],
  ['start', () => host.until('its start', () => host.starts.has(plan.run))],
  ['output', () => host.ledger.says(plan.run, 'one\n')],
  ['end', () => host.ended(plan.run)],
];
for (const [name, take] of steps) {
  await take();
  if (name === step) break;
}
writeSync(1, 'there\n');
setInterval(() => {}, 60_000);
