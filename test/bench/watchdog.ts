import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { JobStore } from '#core/cluster/job-record.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { lookOut } from '#core/cluster/look-out.ts';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { openKv } from '#core/stores/open.ts';
import { startCluster } from '#infra/etcd/cluster.ts';
import { findEtcd } from '#infra/etcd/programs.ts';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';
import { fillWithJobs } from './many-jobs.ts';
import { registerWorkers } from './registered-workers.ts';

const jobs = 100_000;
const workers = 10;
const looks = 5;
const pageSize = 1_000;
const clock = systemClock();
const layout = layoutOf();

/** What the watchdog's look of each minute costs the process that does it, beside reading the same keys and doing nothing with them. */
export async function bench(): Promise<BenchTable> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-watchdog-'));
  const programs = await findEtcd();
  if ('missing' in programs) throw new Error(programs.missing);
  const cluster = await startCluster({ programs, members: 1 });
  try {
    const etcd = await openKv(`etcd://${cluster.endpoints}`, clock, systemIds());
    const sqlite = sqliteKv({ file: join(dir, 'kv.sqlite'), clock });
    const rows: BenchRow[] = [];
    for (const [name, kv] of [
      ['SQLite, in the process of one machine', sqlite],
      [`etcd ${programs.version}`, etcd],
    ] as const) {
      const store = { kv, layout, now: () => clock.now() };
      await fillWithJobs(store, jobs, 'server-0');
      await registerWorkers(store, workers);
      rows.push(...(await rowsOf(name, store)));
      await kv.close();
    }
    return {
      title: `The watchdog's look at ${jobs.toLocaleString('en')} jobs and ${workers} workers, once a minute (median of ${looks})`,
      rows,
    };
  } finally {
    await cluster.stop();
    rmSync(dir, { recursive: true });
  }
}

async function rowsOf(name: string, store: JobStore): Promise<BenchRow[]> {
  // The first compiles every schedule, as the first minute of a server does.
  const first = await measured(() => lookOut(store, { loads: async () => [] }));
  const all: Measured[] = [];
  for (let n = 0; n < looks; n++) all.push(await measured(() => lookOut(store, { loads: async () => [] })));
  const bare = await measured(() => read(store.kv));
  const middle = (of: (one: Measured) => number) => Math.round(percentile(all.map(of), 0.5));
  return [
    {
      name: `${name}: a look`,
      value: `${middle(({ ms }) => ms)} ms`,
      yardstick: `reading the keys: ${Math.round(bare.ms)} ms`,
    },
    {
      name: `${name}: the process's own processor time`,
      value: `${middle(({ cpuMs }) => cpuMs)} ms, ${((middle(({ cpuMs }) => cpuMs) / 60_000) * 100).toFixed(1)} % of a minute`,
      yardstick: `reading the keys: ${Math.round(bare.cpuMs)} ms`,
    },
    {
      name: `${name}: longest that nothing else of the process moves`,
      value: `${middle(({ heldMs }) => heldMs)} ms`,
      yardstick: `reading the keys: ${Math.round(bare.heldMs)} ms`,
    },
    { name: `${name}: the first look of a process`, value: `${Math.round(first.ms)} ms` },
  ];
}

interface Measured {
  ms: number;
  cpuMs: number;
  heldMs: number;
}

async function measured(work: () => Promise<unknown>): Promise<Measured> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const [cpu, began] = [process.cpuUsage(), performance.now()];
  await work();
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  return { ms, cpuMs: (user + system) / 1_000, heldMs: delay.max / 1e6 };
}

async function read(kv: Kv): Promise<void> {
  for (const prefix of [layout.jobs, layout.cursors]) {
    const { key, end } = prefixRange(prefix);
    for (let from = key; ; ) {
      const { entries, more } = await kv.range({ key: from, end }, { limit: pageSize });
      const last = entries.at(-1);
      if (!more || last === undefined) break;
      from = `${last.key}\0`;
    }
  }
}
