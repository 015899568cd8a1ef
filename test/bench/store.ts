import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { instantText } from '#core/model/ids.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { type Kv, type Op, prefixRange, type Txn } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { sqliteHistory } from '#core/stores/history/sqlite/sqlite-history.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';

/** Two values of the size that a claim writes: a cursor and a running key. */
const cursor = JSON.stringify({
  instant: 1_795_363_200_000,
  from: 1_795_363_140_000,
  why: 'ran',
  run: 'x'.repeat(50),
});
const running = JSON.stringify({
  worker: 'a'.repeat(20),
  incarnation: '12345',
  state: 'claimed',
  covers: 'x'.repeat(120),
});
const jobs = 100_000;
const records = 100_000;

/** The embedded stores beside bare loops of SQLite statements on a file of their own, all with an fsync per commit. */
export async function bench(): Promise<BenchTable> {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-bench-'));
  try {
    return {
      title: 'The stores of one machine (SQLite, synchronous=FULL)',
      rows: [
        ...(await claims(dir)),
        await opening(join(dir, 'jobs.db')),
        ...(await history(join(dir, 'history.db'))),
      ],
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function claims(dir: string): Promise<BenchRow[]> {
  const clock = systemClock();
  const kv = sqliteKv({ file: join(dir, 'kv.db'), clock });
  const memory = memoryKv({ clock });
  const bare = bareLoop(join(dir, 'bare.db'));
  const [single, nested, together, alone, batches]: [number[], number[], number[], number[], number[]] = [
    [],
    [],
    [],
    [],
    [],
  ];
  let next = 0;
  const one = (store: Kv) => store.txn(claim(next++));
  // In turns, so that what else the machine does meets both alike.
  for (let round = 0; round < 5; round++) {
    single.push(await perSecond(200, 1, () => one(kv)));
    alone.push(await perSecond(200, 1, async () => bare(1)));
    nested.push(
      await perSecond(20, 100, () =>
        kv.txn({ compare: [], then: Array.from({ length: 100 }, () => nest(claim(next++))) }),
      ),
    );
    together.push(await perSecond(20, 100, () => Promise.all(Array.from({ length: 100 }, () => one(kv)))));
    batches.push(await perSecond(20, 100, async () => bare(100)));
  }
  const inMemory = await perSecond(20_000, 1, () => one(memory));
  await Promise.all([kv.close(), memory.close()]);
  return [
    beside('claims one after the other, each a commit', single, alone),
    beside('claims in requests of 100', nested, batches),
    beside('claims of 100 callers at once, which share a commit', together, batches),
    { name: 'claims on the memory store, for comparison', value: `${thousands(inMemory)}/s` },
  ];
}

function claim(n: number): Txn {
  const [at, key] = [`/cron/cursors/g/job${n}/~`, `/cron/running/g/job${n}/~/`];
  return {
    compare: [
      { key: at, target: 'mod', op: '=', revision: '0' },
      { key: `/cron/jobs/g/job${n}`, target: 'mod', op: '=', revision: '0' },
      { ...prefixRange(key), target: 'create', op: '=', revision: '0' },
    ],
    then: [
      { type: 'put', key: at, value: cursor },
      { type: 'put', key: `${key}1`, value: running },
    ],
  };
}

const nest = (txn: Txn): Op => ({ type: 'txn', txn });

/** The least that a durable claim can cost here: two rows with a key each, and their share of a commit. */
function bareLoop(file: string): (claims: number) => void {
  const db = new DatabaseSync(file);
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  db.exec('CREATE TABLE entry (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value TEXT NOT NULL)');
  const insert = db.prepare('INSERT INTO entry (key, value) VALUES (?, ?)');
  let next = 0;
  return (claims) => {
    db.exec('BEGIN IMMEDIATE');
    for (let n = 0; n < claims; n++) {
      insert.run(`/cron/cursors/g/job${next}/~`, cursor);
      insert.run(`/cron/running/g/job${next++}/~/1`, running);
    }
    db.exec('COMMIT');
  };
}

async function opening(file: string): Promise<BenchRow> {
  const clock = systemClock();
  const value = JSON.stringify({
    job: { group: 'g', name: 'job', command: '/usr/local/bin/some-task --quiet' },
    rest: 'x'.repeat(700),
  });
  const filled = sqliteKv({ file, clock });
  for (let from = 0; from < jobs; from += 1_000)
    await Promise.all(
      Array.from({ length: 10 }, (_, part) =>
        filled.txn({
          compare: [],
          then: Array.from(
            { length: 100 },
            (_, n): Op => ({ type: 'put', key: `/cron/jobs/g/job${from + part * 100 + n}`, value }),
          ),
        }),
      ),
    );
  await filled.close();
  const [ours, bare] = [[], []] as [number[], number[]];
  for (let round = 0; round < 3; round++) {
    let started = performance.now();
    const kv = sqliteKv({ file, clock });
    ours.push(performance.now() - started);
    await kv.close();
    started = performance.now();
    const db = new DatabaseSync(file);
    db.prepare('SELECT key, value, created, mod, version, lease FROM entry').all();
    bare.push(performance.now() - started);
    db.close();
  }
  const [mine, theirs] = [percentile(ours, 0.5), percentile(bare, 0.5)];
  return {
    name: `opening a store of ${thousands(jobs)} jobs, beside reading its rows`,
    ...{
      value: `${mine.toFixed(0)} ms`,
      yardstick: `${theirs.toFixed(0)} ms`,
      ratio: `${(mine / theirs).toFixed(2)} x`,
    },
  };
}

async function history(file: string): Promise<BenchRow[]> {
  const store = sqliteHistory({ file, clock: systemClock() });
  const start = Date.UTC(2026, 0, 1);
  const record = (n: number): Run => {
    const [group, name, instant] = [`g${n % 20}`, `job${n % 500}`, start + Math.floor(n / 500) * 60_000];
    return blankRun({
      ...{
        id: `${group}~${name}~${instantText(instant)}~1`,
        group,
        name,
        instant,
        plannedAt: instant,
        worker: `w${n % 7}`,
      },
      ...{
        state: n % 1_000 === 0 ? 'failed' : 'succeeded',
        startedAt: instant + 2,
        endedAt: instant + 900,
        command: '/bin/true',
      },
    });
  };
  const batch = 100;
  const started = performance.now();
  for (let from = 0; from < records; from += batch) {
    const runs = Array.from({ length: batch }, (_, n) => record(from + n));
    await store.saveRuns(runs.map((run) => ({ ...run, state: 'running', endedAt: null })));
    await store.saveRuns(runs);
  }
  const saved = (2 * records) / ((performance.now() - started) / 1_000);
  const pages = [
    {},
    { state: 'failed' as const },
    { group: 'g3', name: 'job3' },
    { worker: 'w1', state: 'failed' as const },
    { groups: ['g1', 'g2'] },
  ];
  const times: number[] = [];
  for (let round = 0; round < 20; round++)
    for (const page of pages) {
      const before = performance.now();
      await store.runs({ limit: 100, ...page });
      times.push(performance.now() - before);
    }
  await store.close();
  return [
    { name: `records saved, ${batch} a commit, each run twice`, value: `${thousands(saved)}/s` },
    {
      name: `a page of 100 runs of ${thousands(records)}, five kinds of filter, p50 and max`,
      value: `${percentile(times, 0.5).toFixed(1)} and ${percentile(times, 1).toFixed(1)} ms`,
    },
  ];
}

async function perSecond(times: number, each: number, work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  for (let time = 0; time < times; time++) await work();
  return (times * each) / ((performance.now() - started) / 1_000);
}

function beside(name: string, ours: readonly number[], bare: readonly number[]): BenchRow {
  const [mine, theirs] = [percentile(ours, 0.5), percentile(bare, 0.5)];
  return {
    name: `${name}, beside a bare loop of the same inserts`,
    ...{
      value: `${thousands(mine)}/s`,
      yardstick: `${thousands(theirs)}/s`,
      ratio: `${(mine / theirs).toFixed(2)} x`,
    },
  };
}

const thousands = (count: number) => Math.round(count).toLocaleString('en');
