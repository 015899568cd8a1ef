import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';
import { startMachine } from './machine.ts';
import {
  account,
  fall,
  type Load,
  lateMs,
  mostRuns,
  type NotRun,
  offer,
  type Subject,
} from './overload-load.ts';
import { withServers } from './servers.ts';
import { makeStamper, type Stamper } from './stamp.ts';

const rounds = 3;
const rates = [50, 100, 200, 300, mostRuns];
/** At every rate beyond the best there is to be so much of it. */
const leastShare = 0.8;
/** As many as may run at once: what is measured is starting them. */
const capacity = ['--capacity', '2000'];
const [lowest = 0] = rates;

/** One agent that is offered ever more runs a second, beyond what it can start. */
export async function bench(): Promise<BenchTable> {
  const rows = [...(await onSqlite()), ...(await onEtcd())];
  return {
    title: `One agent offered runs of jobs of every second: runs started (at least ${leastShare} x the best rate, whatever is offered beyond it); how late, p50 and p99; instants missed, as a later run covers them; processor time a run (median of ${rounds})`,
    rows,
  };
}

async function onSqlite(): Promise<BenchRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'overload-'));
  try {
    const machine = await startMachine(dir, ...capacity);
    try {
      const subject: Subject = {
        ...{ name: 'SQLite', cpu: machine.cpu },
        setJobs: (jobs) => machine.ask('POST', '/apply?prune=true&group=default', { jobs }),
        notRun: (from, to) =>
          pages(async (state, cursor) => {
            const query = new URLSearchParams({
              state,
              limit: '500',
              ...(cursor === null ? {} : { cursor }),
            });
            for (const [bound, at] of Object.entries({ from, to }))
              query.set(bound, new Date(at).toISOString());
            const { items, next } = await machine.ask('GET', `/runs?${query}`);
            return { items: items.map(spanOf), next };
          }),
      };
      return await rowsOf(subject, makeStamper(dir), dir);
    } finally {
      await machine.stop();
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function onEtcd(): Promise<BenchRow[]> {
  return withServers(3, async ({ dir, etcd, history, addAgent, setJobs }) => {
    const agent = await addAgent('w1', ...capacity);
    const subject: Subject = {
      ...{ name: etcd, cpu: agent.cpu, setJobs },
      notRun: (from, to) =>
        pages(async (state, cursor) => {
          const { items, next } = await history.runs({
            state,
            from,
            to,
            limit: 500,
            ...(cursor === null ? {} : { cursor }),
          });
          return { items: items.map(spanOf), next };
        }),
    };
    return await rowsOf(subject, makeStamper(dir), dir);
  });
}

/** A record as History and as the API give it: times are numbers or texts. */
function spanOf({
  name,
  state,
  instant,
  until,
}: {
  name: string;
  state: string;
  instant: number | string | null;
  until: number | string | null;
}): NotRun {
  const from = new Date(instant ?? Number.NaN).getTime();
  return {
    name,
    state: state === 'missed' ? 'missed' : 'skipped',
    from,
    to: until === null ? from : new Date(until).getTime(),
  };
}

async function pages(
  ask: (state: NotRun['state'], cursor: string | null) => Promise<{ items: NotRun[]; next: string | null }>,
): Promise<NotRun[]> {
  const all: NotRun[] = [];
  for (const state of ['missed', 'skipped'] as const) {
    let cursor: string | null = null;
    do {
      const page = await ask(state, cursor);
      all.push(...page.items);
      cursor = page.next;
    } while (cursor !== null);
  }
  return all;
}

async function rowsOf(subject: Subject, stamper: Stamper, dir: string): Promise<BenchRow[]> {
  const turns: Load[][] = [];
  for (let turn = 0; turn < rounds; turn += 1) {
    const loads: Load[] = [];
    for (const rate of rates) loads.push(await offer(subject, stamper, dir, rate));
    turns.push(loads);
  }
  const bestOf = (loads: readonly Load[]) =>
    Math.max(...loads.map(({ startedPerSecond }) => startedPerSecond));
  const best = median(turns.map(bestOf));
  const low = Math.min(lowest, Math.floor(best / 2));
  const recoveryMs = await fall(subject, stamper, low);
  const sums = { twice: 0, unaccounted: 0 };
  const rows: BenchRow[] = [];
  for (const [at, rate] of rates.entries()) {
    const loads = turns.flatMap((each) => each[at] ?? []);
    let missed = 0;
    for (const load of loads) {
      const found = await account(subject, stamper, load);
      sums.twice += found.twice;
      sums.unaccounted += found.unaccounted;
      missed += found.missed / (rate * ((load.to - load.from) / 1_000));
    }
    // Of the best in the same turn: what else the machine does changes from one to the next.
    const share = median(
      loads.map((load, n) => load.startedPerSecond / Math.min(bestOf(turns[n] ?? []), rate)),
    );
    const started = median(loads.map(({ startedPerSecond }) => startedPerSecond));
    const late = (of: number) =>
      `${percentile(
        loads.flatMap((load) => load.late),
        of,
      ).toFixed(0)} ms`;
    const loops = loads.flatMap(({ loop }) => loop ?? []);
    rows.push({
      name: `${subject.name}: ${rate} a second`,
      value: `${started.toFixed(0)}/s; ${late(0.5)}, ${late(0.99)}; ${((100 * missed) / loads.length).toFixed(0)} %; ${median(loads.map(({ cpuMs }) => cpuMs)).toFixed(1)} ms`,
      yardstick: loops.length === 0 ? 'no C compiler' : `a bare C loop: ${median(loops).toFixed(0)}/s`,
      ratio: `${share.toFixed(2)} x the best`,
    });
  }
  return [
    ...rows,
    {
      ...{ name: `${subject.name}: instants that started twice; unaccounted for`, yardstick: '0; 0' },
      value: `${sums.twice}; ${sums.unaccounted}`,
    },
    {
      name: `${subject.name}: ${mostRuns} a second fall to ${low}: until all start within ${lateMs / 1_000} s`,
      value: `${(recoveryMs / 1_000).toFixed(1)} s`,
    },
  ];
}

const median = (numbers: readonly number[]) => percentile(numbers, 0.5);
