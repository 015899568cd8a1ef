import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchRow, BenchTable } from './bench.ts';
import { startMachine } from './machine.ts';
import { account, fall, type Load, late, lateMs, type NotRun, offer, type Subject } from './overload-load.ts';
import { withServers } from './servers.ts';
import { makeStamper, type Stamper } from './stamp.ts';

const rates = [50, 100, 200, 300, 500];
/** At every rate beyond the best there is to be so much of it. */
const leastShare = 0.8;
/** As many as may run at once: what is measured is starting them. */
const capacity = ['--capacity', '2000'];
const [lowest = 0] = rates;
const highest = Math.max(...rates);

/** One agent that is offered ever more runs a second, beyond what it can start. */
export async function bench(): Promise<BenchTable> {
  const rows = [...(await onSqlite()), ...(await onEtcd())];
  return {
    title: `One agent offered runs of jobs of every second, beside a bare C loop that starts the same program (at least ${leastShare} x the best rate, whatever is offered beyond it)`,
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
  const loads: Load[] = [];
  for (const rate of rates) loads.push(await offer(subject, stamper, dir, rate));
  const best = Math.max(...loads.map(({ startedPerSecond }) => startedPerSecond));
  const recoveryMs = await fall(subject, stamper, highest, lowest);
  const sums = { twice: 0, unaccounted: 0 };
  const rows: BenchRow[] = [];
  for (const load of loads) {
    const { twice, missed, unaccounted } = await account(subject, stamper, load);
    sums.twice += twice;
    sums.unaccounted += unaccounted;
    const { rate, startedPerSecond, cpuMs, loop } = load;
    const share = startedPerSecond / Math.min(best, rate);
    rows.push({
      name: `${subject.name}, ${rate} a second: started; p50 and p99 of their lateness; missed, as a later one covers them; processor time a run`,
      value: `${startedPerSecond.toFixed(0)}/s; ${late(load, 0.5)} and ${late(load, 0.99)}; ${missed} of ${(rate * (load.to - load.from)) / 1_000}; ${cpuMs.toFixed(1)} ms`,
      yardstick: loop === null ? 'no C compiler' : `a bare C loop: ${loop.toFixed(0)}/s`,
      ratio: `${share.toFixed(2)} x the best`,
    });
  }
  return [
    ...rows,
    {
      name: `${subject.name}: started twice; unaccounted for`,
      value: `${sums.twice}; ${sums.unaccounted}`,
      yardstick: '0; 0',
    },
    {
      name: `${subject.name}: ${highest} a second fall to ${lowest}: until all start within ${lateMs / 1_000} s`,
      value: `${(recoveryMs / 1_000).toFixed(1)} s`,
    },
  ];
}
