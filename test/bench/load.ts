import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';
import { type Machine, startMachine } from './machine.ts';
import { fillWithJobs } from './many-jobs.ts';

const rounds = 3;
/** Memory is looked at when it has been at work for so long. */
const atWorkMs = 10_000;

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

async function fill(data: string, count: number): Promise<void> {
  mkdirSync(data, { mode: 0o700 });
  const clock = systemClock();
  const kv = sqliteKv({ file: join(data, 'kv.sqlite'), clock });
  await fillWithJobs({ kv, layout: layoutOf(), now: () => clock.now() }, count, 'machine');
  await kv.close();
}
