import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { applyJobs } from '#core/cluster/apply.ts';
import { checkJob } from '#core/cluster/check-job.ts';
import { layout as layoutOf, oneLane } from '#core/cluster/keys.ts';
import type { CursorValue } from '#core/cluster/records.ts';
import { jobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import type { Op } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';
import { type Machine, startMachine } from './machine.ts';

const rounds = 3;
/** Memory is looked at when it has been at work for so long. */
const atWorkMs = 10_000;
const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Tokyo'];

/** What a machine's process needs to start, and to keep, with many jobs, each of which has run before. */
export async function bench(): Promise<BenchTable> {
  return {
    title: `One machine with many jobs (median of ${rounds} starts)`,
    rows: [...(await rowsFor(10_000, null)), ...(await rowsFor(100_000, 'under 400 MB'))],
  };
}

async function rowsFor(count: number, promise: string | null): Promise<BenchRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'load-'));
  try {
    await fill(join(dir, 'data'), count);
    const starts: (Machine & ReturnType<Machine['memory']>)[] = [];
    for (let round = 0; round < rounds; round++) {
      const machine = await startMachine(dir);
      try {
        await sleep(atWorkMs);
        starts.push({ ...machine, ...machine.memory() });
      } finally {
        await machine.stop();
      }
    }
    const middle = (of: (one: (typeof starts)[number]) => number) => percentile(starts.map(of), 0.5);
    const jobs = `${count.toLocaleString('en')} jobs`;
    const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    return [
      {
        name: `${jobs}: resident memory, ${atWorkMs / 1_000} s after the start`,
        value: mb(middle(({ now }) => now)),
        ...(promise === null ? {} : { yardstick: promise }),
      },
      { name: `${jobs}: resident memory at its highest`, value: mb(middle(({ highest }) => highest)) },
      {
        name: `${jobs}: from its start to serving`,
        value: `${(middle(({ servesMs }) => servesMs) / 1_000).toFixed(2)} s`,
      },
      {
        name: `${jobs}: from its start to every job in the agent's hands`,
        value: `${(middle(({ readyMs }) => readyMs) / 1_000).toFixed(2)} s`,
      },
    ];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** A store as it is after some time: every job with its cursor. None is due soon: what is looked at is jobs, not their runs. */
async function fill(data: string, count: number): Promise<void> {
  mkdirSync(data, { mode: 0o700 });
  const clock = systemClock();
  const kv = sqliteKv({ file: join(data, 'kv.sqlite'), clock });
  const layout = layoutOf();
  const store = { kv, layout, now: () => clock.now() };
  const all = Array.from({ length: count }, (_, n) => job(n, clock.now()));
  for (let from = 0; from < count; from += 1_000) {
    const some = all.slice(from, from + 1_000);
    await applyJobs(store, some, { by: 'bench', dryRun: false, prune: null });
    for (let at = 0; at < some.length; at += 100)
      await kv.txn({ compare: [], then: some.slice(at, at + 100).map(cursorOf) });
  }
  await kv.close();

  function cursorOf({ group, name }: Job): Op {
    const instant = clock.now();
    const run = `${group}~${name}~${new Date(instant).toISOString().replace(/[-:]/g, '')}~1`;
    const value: CursorValue = { instant, from: 'machine', why: 'run', run };
    return { type: 'put', key: layout.cursor(jobId(group, name), oneLane), value: JSON.stringify(value) };
  }
}

/** At a minute of its own, three days from now whatever the zone. */
function job(n: number, now: number): Job {
  const minute = n % 1_440;
  const weekday = (new Date(now).getUTCDay() + 3) % 7;
  return checkJob({
    group: `team-${n % 40}`,
    name: `job-${n}`,
    description: 'What the crontab line said above it',
    command: `/usr/local/bin/task-${n} --quiet --config /etc/tasks/${n}.yaml`,
    schedule: `${minute % 60} ${Math.floor(minute / 60)} * * ${weekday}`,
    timezone: zones[n % zones.length],
    tags: ['nightly'],
    owner: 'ops@example.org',
    timeout: '1h',
  });
}
