import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from '#core/model/job.ts';
import { prefixRange } from '#core/ports/kv.ts';
import type { Child } from '#infra/fleet/child.ts';
import { instants } from './instants.ts';
import { judgeOutputs, type OutputVerdict } from './outputs.ts';
import { readStamps } from './stamps.ts';
import { judge, type Verdict } from './verdict.ts';
import type { Yard } from './yard.ts';

/** Far above what it takes: it is through when all has ended, and what has not by then is told. */
const settleMs = 180_000;

export interface Reckoning {
  verdict: Verdict;
  printed: OutputVerdict;
  breaches: string[];
}

/**
 * Lets the agent that lives come to the end of what it has to do, ends it, and holds what the jobs wrote since `from` against what the stores
 * hold: every instant, start, record and byte.
 */
export async function reckon(
  yard: Yard,
  last: Child,
  { jobs, from, stamps, outputs }: { jobs: readonly Job[]; from: number; stamps: string; outputs: string },
): Promise<Reckoning> {
  const to = Date.now() + 3_000;
  const due = new Map(jobs.map((job) => [`${job.group}/${job.name}`, instants(job, from, to)]));
  const until = Date.now() + settleMs;
  const judged = async () =>
    judge({
      ...{ jobs, stamps: readStamps(stamps), records: await yard.records(), due },
      quiet: { from: 0, to: 0 },
      machine: [],
    });
  while ((await judged()).unaccounted > 0 && Date.now() < until) await sleep(500);
  await yard.setJobs(jobs.map((job) => ({ ...job, enabled: false })));
  const left = async () => {
    const kept = [yard.layout.running, yard.layout.owed].map((prefix) => yard.kv.range(prefixRange(prefix)));
    return (await Promise.all(kept)).flatMap(({ entries }) => entries.map(({ key }) => `P11 ${key} is left`));
  };
  const unended = async () => (await judged()).breaches.length + (await left()).length > 0;
  while ((await unended()) && Date.now() < until) await sleep(500);
  // With its stop everything is with History.
  await last.stop();
  const verdict = await judged();
  const printed = await judgeOutputs(yard.historyUrl, outputs);
  const twice = (await yard.records())
    .filter(({ also, state }) => also !== null || state === 'lost')
    .map(({ id, also, state, reason }) =>
      also === null
        ? `P9 ${id} is lost: ${reason}`
        : `P9 ${id} has ended as ${state}, and as ${JSON.stringify(also)}`,
    );
  return {
    ...{ verdict, printed },
    breaches: [...verdict.breaches, ...(await left()), ...twice, ...printed.breaches],
  };
}
