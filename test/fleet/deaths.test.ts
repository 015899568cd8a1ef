import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { Job, type JobInput } from '#core/model/job.ts';
import { effort } from '#test/effort.ts';
import { Chance } from '#test/sim/chance.ts';
import { until } from '#test/until.ts';
import { printing } from './outputs.ts';
import { reckon } from './reckoning.ts';
import { makeStamps, stampedCommand } from './stamps.ts';
import type { StepHook } from './step-hook.ts';
import { Yard } from './yard.ts';

const hook = new URL('./step-hook.ts', import.meta.url).pathname;
/** In which every kind of step happens. */
const calmMs = 12_000;
const firstMs = 4_000;
/** By when a step comes again: one of those that have to come, and one that was seen and may not. */
const lifeMs = { named: 120_000, other: 40_000 };

/** A run's way into History, in its order, and what files of the spool come to: each the last thing that an agent did. */
const named: readonly (string | [step: string, nth: number])[] = [
  // A run's directory is one of a run that is over, and gets its name with its plan in it.
  'before rename spare/N',
  'after rename spare/N',
  'after spawn sh',
  'before send etcd Txn cursors running workers',
  'after send etcd Txn cursors running workers',
  'before answer etcd Txn cursors running workers',
  'before write runs/RUN/claimed',
  'after write runs/RUN/claimed',
  'before rename gates/GATE.go.new',
  'after rename gates/GATE.go.new',
  // The first is that of the FIFO's opening.
  ['after close gates/GATE.fifo', 2],
  'before write spool/output-N.seg',
  'torn write spool/output-N.seg',
  'after write spool/output-N.seg',
  'after datasync spool/output-N.seg',
  'after send mongo insert logs',
  'before answer mongo insert logs',
  'before write spool/records-N.seg',
  'torn write spool/records-N.seg',
  'after write spool/records-N.seg',
  'after datasync spool/records-N.seg',
  'before send mongo insert runs',
  'after send mongo insert runs',
  'before answer mongo insert runs',
  'before send mongo update runs',
  'after send mongo update runs',
  'before answer mongo update runs',
  'before send etcd Txn running kills',
  'after send etcd Txn running kills',
  'before answer etcd Txn running kills',
  'before rm runs/RUN',
  'after rm runs/RUN',
  'before rename runs/RUN',
  'after rename runs/RUN',
  'after truncate spare/N/claimed',
  ['after sync spool', 1],
  ...(['records', 'output'] as const).flatMap((log): [string, number][] => [
    [`before open spool/${log}-N.seg`, 2],
    [`after open spool/${log}-N.seg`, 2],
    [`before unlink spool/${log}-N.seg`, 1],
    [`after unlink spool/${log}-N.seg`, 1],
  ]),
];

it('an agent that is killed at each of its steps in turn loses no instant, record or byte, and does nothing twice', {
  // So many lives, one after the other, each with an end of its own: on a busy machine they take longer than a test may.
  timeout: 900_000,
}, async () => {
  const chance = new Chance(1);
  const yard = await Yard.open(1);
  const [stamps, outputs, data] = ['stamps', 'outputs', 'w'].map((name) => join(yard.folder, name)) as [
    string,
    string,
    string,
  ];
  makeStamps(stamps);
  let found: readonly string[] | null = null;
  try {
    const jobs = jobsOf(stamps, outputs);
    await yard.setJobs(jobs);
    const from = Date.now() + 1_000;
    let lives = 0;
    const live = async (last: StepHook['last'], ms: number): Promise<string[]> => {
      const trace = join(yard.folder, `steps-${lives++}`);
      const told: StepHook = { data, mongoPort: yard.mongoPort, trace, last };
      const child = yard.life('w', data, {
        node: ['--import', hook],
        env: { STEP_HOOK: JSON.stringify(told) },
      });
      // On a busy machine seconds pass before it has begun.
      await until('its first step', () => existsSync(trace) || child.pid === null);
      const waiting = new AbortController();
      await Promise.race([child.gone(), sleep(ms, null, { signal: waiting.signal }).catch(() => {})]);
      waiting.abort();
      child.signal('SIGKILL');
      await child.gone();
      return readFileSync(trace, 'utf8').split('\n').slice(0, -1);
    };

    // The first makes the layout of the stores, which nobody does again.
    await live(null, firstMs);
    const seen = new Map<string, number>();
    for (const step of await live(null, calmMs)) seen.set(step, (seen.get(step) ?? 0) + 1);
    const plan = named.map((one): [string, number] =>
      typeof one === 'string' ? [one, chance.between(1, 4)] : one,
    );
    const others = shuffled(
      [...seen.keys()].filter((step) => !plan.some(([name]) => name === step)),
      chance,
    );
    const planned = [
      ...shuffled(plan, chance).slice(0, effort(12, plan.length)),
      ...others
        .slice(0, effort(4, 12))
        .map((step): [string, number] => [step, chance.between(1, Math.min(2, seen.get(step) ?? 1))]),
    ];
    let reached = 0;
    for (const [step, nth] of planned) {
      const isNamed = plan.some(([name]) => name === step);
      const steps = await live({ step, nth }, isNamed ? lifeMs.named : lifeMs.other);
      const died = steps.at(-1) === step;
      if (died) reached += 1;
      // What else was seen once may not come again in every life.
      else if (isNamed) assert.fail(`it did not come to die ${step} (${nth})`);
    }
    assert.ok(reached > planned.length / 2, `${reached} of ${planned.length}`);

    const last = yard.life('w', data);
    const { verdict, printed, breaches } = await reckon(yard, last, { jobs, from, stamps, outputs });
    console.log(
      `${lives} deaths, ${verdict.due} instants due, ${verdict.started} starts, ${verdict.duplicates} twice, ${verdict.unaccounted} unaccounted for, ${printed.bytes} bytes of ${printed.runs} runs, ${printed.dropped} dropped`,
    );
    found = breaches;
    assert.deepEqual(breaches, []);
    assert.ok(verdict.started > lives);
  } finally {
    await yard.close(found?.length !== 0, found ?? []);
  }
});

function jobsOf(stamps: string, outputs: string): Job[] {
  const job = (input: JobInput) => v.parse(Job, input);
  const [start = '', , , end = ''] = stampedCommand(stamps, 'prints', '0').split('; ');
  return [
    job({
      ...{ name: 'each', schedule: '* * * * * *', overlap: 'allow', catchUp: 'all' },
      command: stampedCommand(stamps, 'each', '0.2'),
    }),
    job({
      ...{ name: 'prints', schedule: '*/2 * * * * *', guarantee: 'at-least-once' },
      // So long that its records fill files of the spool, too.
      command: `${start}; ${printing(outputs, 2_000_000)}; ${end} #${'x'.repeat(100_000)}`,
    }),
    job({
      ...{ name: 'retries', schedule: '*/3 * * * * *', overlap: 'queue' },
      ...{
        retry: { attempts: 1, backoff: '300ms', factor: 1 },
        command: stampedCommand(stamps, 'retries', '0.1', 3),
      },
    }),
  ];
}

function shuffled<T>(all: readonly T[], chance: Chance): T[] {
  return all
    .map((one) => [chance.chance(), one] as const)
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one);
}
