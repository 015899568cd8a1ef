import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { Job, type JobInput } from '#core/model/job.ts';
import { prefixRange } from '#core/ports/kv.ts';
import { freePorts } from '#infra/free-ports.ts';
import { isCi } from '#test/effort.ts';
import { Chance } from '#test/sim/chance.ts';
import { until } from '#test/until.ts';
import { faultsOf } from './faults.ts';
import { type Hurt, inflict } from './hurt.ts';
import { instants } from './instants.ts';
import { paceOfMachine } from './pace.ts';
import { act } from './people.ts';
import { makeStamps, readStamps, stampedCommand } from './stamps.ts';
import { judge, type Verdict } from './verdict.ts';
import { Yard } from './yard.ts';

export interface ChaosOptions {
  seed: number;
  /** How long faults are injected. */
  faultMs: number;
  agents: number;
  tell(line: string): void;
}

/** Twice the longest timeout of the protocol: the lease's TTL, its margin, and what a keeper waits. */
const healMs = 30_000;
const quietMs = 20_000;
/** A keeper's two sweeps, and what they set off. */
const settleMs = 180_000;

/** A whole fleet of real processes, hurt by a seeded schedule; what its jobs wrote is judged at the end. */
export async function chaos({ seed, faultMs, agents, tell }: ChaosOptions): Promise<Verdict> {
  const chance = new Chance(seed);
  const faults = faultsOf(chance.fork(), faultMs, 4_000);
  const people = chance.fork();
  const yard = await Yard.open();
  const stamps = join(yard.folder, 'stamps');
  makeStamps(stamps);
  const command = (name: string) =>
    stampedCommand(stamps, name, people.pick(['0.05', '0.2', '1', '2.5']), people.happens(0.8) ? 0 : 3);
  let breaches: readonly string[] | null = null;
  try {
    for (let at = 1; at < agents; at += 1) await yard.addAgent(`w${at}`, `zone=z${at % 2}`);
    const last = [`w${agents}`, `zone=z${agents % 2}`] as const;
    const far = await yard.addFarAgent(...last);
    if ('missing' in far) {
      if (isCi && process.getuid?.() === 0) throw new Error(far.missing);
      tell(`NOT RUN HERE: no agent is alone in a network namespace, so no cable is pulled: ${far.missing}`);
      await yard.addAgent(...last);
    }
    await yard.addServers(await freePorts(2));
    await untilRegistered(yard, agents);
    const jobs = jobsOf(chance.fork(), command);
    for (const [at, job] of jobs.entries()) {
      const { status, body } = await yard.ask(at % 2, 'PUT', `/jobs/default/${job.name}`, job);
      if (status !== 201) throw new Error(`${job.name}: ${JSON.stringify(body)}`);
    }
    const madeAt = Date.now();

    await troubled(
      yard,
      faults,
      () => act(yard, { chance: people, jobs: jobs.map(({ name }) => name), command }),
      faultMs,
      tell,
    );
    tell('healed; waiting for twice the longest timeout');
    for (const { name } of jobs)
      await patiently(() => yard.ask(0, 'POST', `/jobs/default/${name}/resume`, {}));
    await sleep(healMs);
    const quiet = { from: Date.now(), to: Date.now() + quietMs };
    const machine = await paceOfMachine(quiet.to);
    tell(`the machine itself was ${Math.max(...machine.map(({ lateMs }) => lateMs))} ms late in the quiet`);

    const parsed = jobs.map((job) => v.parse(Job, job));
    // In-flight instants have their time; disabled, nothing new comes due.
    for (const job of jobs)
      await patiently(() => yard.ask(1, 'PUT', `/jobs/default/${job.name}`, { ...job, enabled: false }));
    const due = new Map(
      parsed.map((job) => [`${job.group}/${job.name}`, instants(job, madeAt + 1_000, quiet.to - 3_000)]),
    );
    const lateAt = Date.now() + settleMs;
    for (;;) {
      const verdict = judge({
        jobs: parsed,
        stamps: readStamps(stamps),
        records: await yard.records(),
        due,
        quiet,
        machine,
      });
      const running = (await yard.kv.range(prefixRange(yard.layout.running))).entries;
      if (Date.now() > lateAt)
        for (const { key, value } of running) verdict.breaches.push(`P11 ${key} is left: ${value}`);
      const settled =
        running.length === 0 &&
        verdict.unaccounted === 0 &&
        !verdict.breaches.some((text) => text.startsWith('P2'));
      if (settled || Date.now() > lateAt) {
        ({ breaches } = verdict);
        return verdict;
      }
      await sleep(2_000);
    }
  } finally {
    await yard.close(breaches?.length !== 0, breaches ?? []);
  }
}

async function troubled(
  yard: Yard,
  faults: ReturnType<typeof faultsOf>,
  someone: () => Promise<void>,
  faultMs: number,
  tell: ChaosOptions['tell'],
): Promise<void> {
  const began = performance.now();
  const passed = () => performance.now() - began;
  const hurt: Hurt = new Set();
  const peopleAct = (async () => {
    while (passed() < faultMs) {
      await someone();
      await sleep(400);
    }
  })();
  const all = faults.map(async (fault) => {
    await sleep(fault.at);
    const end = await inflict(yard, fault, hurt);
    if (end === null) return;
    tell(
      `${(passed() / 1_000).toFixed(1).padStart(6)} s  ${fault.kind} for ${(fault.lasts / 1_000).toFixed(1)} s (${fault.who})`,
    );
    await sleep(fault.lasts);
    await end();
  });
  await Promise.all([peopleAct, ...all]);
}

function jobsOf(chance: Chance, command: (name: string) => string): JobInput[] {
  const jobs: JobInput[] = [];
  const policies: Partial<JobInput>[] = [
    { overlap: 'allow' },
    { overlap: 'skip' },
    { overlap: 'queue' },
    { overlap: 'replace', killGrace: '1s' },
    { overlap: 'skip', guarantee: 'at-least-once' },
    { overlap: 'allow', catchUp: 'all' },
    { overlap: 'allow', mode: 'all' },
    { overlap: 'allow', target: { labels: { zone: 'z1' } } },
    { overlap: 'queue', retry: { attempts: 2, backoff: '500ms', factor: 1 } },
    { overlap: 'allow', catchUp: 'none' },
  ];
  for (const [at, policy] of policies.entries())
    for (const twin of ['a', 'b']) {
      const name = `j${at}${twin}`;
      jobs.push({
        name,
        command: command(name),
        schedule: `*/${chance.pick([2, 3, 5])} * * * * *`,
        ...policy,
      });
    }
  return jobs;
}

async function untilRegistered(yard: Yard, agents: number): Promise<void> {
  await until(
    `${agents} agents`,
    () => yard.kv.range(prefixRange(yard.layout.workers), { countOnly: true }),
    ({ count }) => count === agents,
  );
}

/** The last healing may still be under way: asked until somebody has taken it. */
async function patiently(ask: () => Promise<{ status: number; body: unknown }>): Promise<void> {
  const { status, body } = await until(
    'a server to take a request',
    () => ask().catch((error: Error) => ({ status: 503, body: error.message })),
    ({ status }) => status < 500,
  );
  if (status >= 400) throw new Error(JSON.stringify(body));
}
