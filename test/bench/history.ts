import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Collection, type Db, type Document, MongoClient } from 'mongodb';
import { instantText } from '#core/model/ids.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import type { History, LogChunk, RunQuery } from '#core/ports/history.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { useMongo } from '#infra/mongo/use-server.ts';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';

const batchRuns = 100;
const outputBytes = 2_048;
/** How long runs are stored before they are listed: as many as fit. */
const fillMs = 25_000;
const mostRuns = 1_000_000;
const page = 100;
const deep = 1_000;
const lineBytes = 100;
const longLogBytes = 16 * 1_048_576;
const forever = Date.UTC(2126, 0, 1);

/** History on MongoDB beside bare calls of its driver: the same documents, indexes, acknowledgements, server and minute. */
export async function bench(): Promise<BenchTable> {
  const folder = mkdtempSync(join(tmpdir(), 'cronfleet-history-bench-'));
  const server = await useMongo({ folder });
  if ('missing' in server) throw new Error(server.missing);
  const database = `cronfleet-bench-${process.pid}`;
  const url = new URL(server.url);
  const at = (name: string) => {
    url.pathname = `/${name}`;
    return url.href;
  };
  const client = new MongoClient(at(database), { writeConcern: { w: 'majority', journal: true } });
  const history = mongoHistory({ url: at(database), clock: systemClock() });
  // Its layout, and nothing of ours that writes into it.
  const other = mongoHistory({ url: at(`${database}-bare`), clock: systemClock() });
  const [db, bare] = [client.db(database), client.db(`${database}-bare`)];
  try {
    const { secantusVersion, version } = await db.command({ buildInfo: 1 });
    await Promise.all([history.now(), other.now()]);
    const { rows: shipping, stored } = await ship(history, db, bare);
    return {
      title: `History on ${secantusVersion ? `the stand-in secantusd-rs ${secantusVersion}` : `MongoDB ${version}`}`,
      rows: [...shipping, ...(await lists(history, db, stored)), await longLog(history), await size(db)],
    };
  } finally {
    await Promise.all([db, bare].map((each) => each.dropDatabase()));
    await Promise.all([history.close(), other.close(), client.close()]);
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}

const start = Date.UTC(2026, 0, 1);
const jobs = 500;

function record(n: number): Run {
  const [group, name] = [`g${n % 20}`, `job${n % jobs}`];
  const instant = start + Math.floor(n / jobs) * 60_000;
  return blankRun({
    id: `${group}~${name}~${instantText(instant)}~1`,
    ...{ group, name, instant, plannedAt: instant, worker: `w${n % 7}`, incarnation: '123456' },
    ...{ state: n % 1_000 === 0 ? 'failed' : 'succeeded', exitCode: 0, fence: '123456' },
    ...{ claimedAt: instant - 200, startedAt: instant + 2, endedAt: instant + 900 + (n % 97) },
    ...{ bytes: outputBytes, tail: 'x'.repeat(200), command: '/usr/local/bin/some-task --quiet' },
    expireAt: forever,
  });
}

const line = `${'x'.repeat(lineBytes - 1)}\n`;
const output = Buffer.from(line.repeat(Math.ceil(outputBytes / lineBytes))).subarray(0, outputBytes);
const piece = ({ id: run }: Run): LogChunk => ({
  run,
  seq: 0,
  offset: 0,
  data: output,
  at: start,
  expireAt: forever,
});

/** In turns, so that what else the machine does meets both alike. What History stores is read again below. */
async function ship(history: History, db: Db, bare: Db): Promise<{ rows: BenchRow[]; stored: number }> {
  const [ours, theirs]: [number[], number[]] = [[], []];
  let stored = 0;
  const until = performance.now() + fillMs;
  while (performance.now() < until && stored < mostRuns) {
    const runs = Array.from({ length: batchRuns }, (_, n) => record(stored + n));
    const chunks = runs.map(piece);
    const ids = runs.map(({ id }) => id);
    ours.push(
      await timed(async () => {
        await history.saveLogs(chunks);
        await history.saveRuns(runs);
      }),
    );
    stored += batchRuns;
    if (ours.length > 40) continue;
    // The very documents, into collections with the very indexes.
    const logs = await db
      .collection('logs')
      .find({ run: { $in: ids } })
      .toArray();
    const records = await db
      .collection('runs')
      .find({ _id: { $in: ids as unknown[] } } as Document)
      .toArray();
    theirs.push(
      await timed(async () => {
        await bare.collection('logs').insertMany(logs, { ordered: false });
        await bare.collection('runs').insertMany(records, { ordered: false });
      }),
    );
  }
  const paired = ours.slice(0, theirs.length);
  const perSecond = (times: readonly number[]) => (batchRuns * 1_000) / percentile(times, 0.5);
  const rate = (times: readonly number[]) =>
    `${thousands(perSecond(times))} runs/s, ${((perSecond(times) * outputBytes) / 1e6).toFixed(1)} MB/s`;
  return {
    stored,
    rows: [
      {
        name: `${batchRuns} ended runs with 2 KiB of output each to a call, beside bare insertMany`,
        ...{ value: rate(paired), yardstick: rate(theirs) },
        ratio: `${(perSecond(paired) / perSecond(theirs)).toFixed(2)} x`,
      },
      { name: `the same over all ${thousands(stored)} runs stored`, value: rate(ours) },
    ],
  };
}

/** A page of each kind of list, the first and a deep one, beside a bare find that walks the same index. */
async function lists(history: History, db: Db, stored: number): Promise<BenchRow[]> {
  const kinds: Partial<RunQuery>[] = [
    {},
    { group: 'g3' },
    { group: 'g3', name: 'job3' },
    { state: 'failed' },
    { worker: 'w1' },
  ];
  const runs = db.collection('runs');
  const depth = Math.min(deep * page, Math.floor(stored * 0.9));
  // Where a page that deep begins, for every kind: what was due there.
  const to = start + Math.floor((stored - depth) / jobs) * 60_000;
  const found: BenchRow[] = [];
  for (const [name, more] of [
    ['the first page', {}],
    [`a page behind ${thousands(depth)} runs`, { to }],
  ] as const) {
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let round = 0; round < 4; round++)
      for (const kind of kinds) {
        ours.push(await timed(() => history.runs({ limit: page, ...kind, ...more })));
        theirs.push(await timed(() => bareFind(runs, kind, 'to' in more ? more.to : undefined)));
      }
    found.push({
      name: `${name} of ${page}, five kinds of list, of ${thousands(stored)} runs: p50 and p99`,
      ...{ value: both(ours), yardstick: `a bare find: ${both(theirs)}` },
      ratio: `${(percentile(ours, 0.5) / percentile(theirs, 0.5)).toFixed(2)} x`,
    });
  }
  return found;
}

function bareFind(runs: Collection, kind: Partial<RunQuery>, to: number | undefined): Promise<Document[]> {
  const order = to === undefined ? {} : { order: { $lt: String(to).padStart(16, '0') } };
  return runs
    .find({ ...kind, ...order })
    .sort({ order: -1 })
    .limit(page + 1)
    .toArray();
}

/** One log that is long, read a MiB at a time, in its order and anywhere. */
async function longLog(history: History): Promise<BenchRow> {
  const bytes = 65_536;
  const data = Buffer.from(line.repeat(Math.ceil(bytes / lineBytes))).subarray(0, bytes);
  const pieces = longLogBytes / bytes;
  for (let from = 0; from < pieces; from += 16)
    await history.saveLogs(
      Array.from({ length: 16 }, (_, n) => ({
        ...{ run: 'long', seq: from + n, offset: (from + n) * bytes, data, at: start, expireAt: forever },
      })),
    );
  const times: number[] = [];
  for (let read = 0; read < 32; read++) {
    const from = ((read * 7) % (longLogBytes / 1_048_576)) * 1_048_576;
    times.push(await timed(() => history.log('long', from, 1_048_576)));
  }
  return {
    name: `1 MiB anywhere in a log of ${thousands(longLogBytes / lineBytes)} lines: p50 and p99`,
    value: both(times),
  };
}

async function size(db: Db): Promise<BenchRow> {
  const [runs, logs] = await Promise.all(['runs', 'logs'].map((name) => db.command({ collStats: name })));
  const each = (stats: Document | undefined, what: string) => Math.round(stats?.[what] / runs?.count);
  return {
    name: 'bytes a run: its record, of that without compression; its indexes; the indexes of its log',
    value: `${each(runs, 'size')}; ${each(runs, 'totalIndexSize')}; ${each(logs, 'totalIndexSize')}`,
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

const both = (times: readonly number[]) =>
  `${percentile(times, 0.5).toFixed(1)} and ${percentile(times, 0.99).toFixed(1)} ms`;
const thousands = (count: number) => Math.round(count).toLocaleString('en');
