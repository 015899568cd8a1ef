import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Collection, type Db, type Document, MongoClient } from 'mongodb';
import { createLedger } from '#agent/shipper/create-ledger.ts';
import { instantText } from '#core/model/ids.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { History, LogChunk, RunQuery } from '#core/ports/history.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { useMongo } from '#infra/mongo/use-server.ts';
import { type BenchRow, type BenchTable, percentile } from './bench.ts';

const batchRuns = 100;
const batches = 40;
const shippedBytes = 2_048;
const backlogRuns = 10_000;
const backlogBatch = 500;
/** Of a backlog so many runs start, and then end, before the next do. */
const livingRuns = 20;
/** How long runs are stored before they are listed: as many as fit. */
const fillMs = 170_000;
const fillBatch = 1_000;
const mostRuns = 1_000_000;
const linesPerRun = 10;
const page = 100;
const deepestPage = 1_000;
/** For each page of each kind of list, and so many calls at most. */
const listMs = 15_000;
const listCalls = 30;
const lineBytes = 100;
const longLogBytes = 16 * 1_048_576;
const forever = Date.UTC(2126, 0, 1);

/** History on MongoDB beside bare calls of its driver: the same documents, indexes, acknowledgements, server and minute. */
export async function bench(): Promise<BenchTable> {
  const folder = mkdtempSync(join(tmpdir(), 'cronfleet-history-bench-'));
  const server = await useMongo({ folder: join(folder, 'server') });
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
    await Promise.all([history.runs({ limit: 1 }), other.runs({ limit: 1 })]);
    const rows = [await ship(history, db, bare), await drain(history, db, bare, join(folder, 'spool'))];
    const before = diskBytes(folder);
    const { stored, row } = await fill(history, batches * batchRuns + backlogRuns);
    const each = (diskBytes(folder) - before) / (stored - batches * batchRuns - backlogRuns);
    rows.push(row, ...(await lists(history, db, stored)), ...(await single(history, db, stored)));
    rows.push(await longLog(history), await size(db, each));
    return {
      title: `History on ${secantusVersion ? `the stand-in secantusd-rs ${secantusVersion}` : `MongoDB ${version}`}, ${thousands(stored)} runs stored, ${thousands(stored * linesPerRun)} lines of output`,
      rows,
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

function record(n: number, bytes: number): Run {
  const [group, name] = [`g${n % 20}`, `job${n % jobs}`];
  const instant = start + Math.floor(n / jobs) * 60_000;
  return blankRun({
    id: `${group}~${name}~${instantText(instant)}~1`,
    ...{ group, name, instant, plannedAt: instant, worker: `w${n % 7}`, incarnation: '123456' },
    ...{ state: n % 1_000 === 0 ? 'failed' : 'succeeded', exitCode: 0, fence: '123456' },
    ...{ claimedAt: instant - 200, startedAt: instant + 2, endedAt: instant + 900 + (n % 97) },
    ...{ bytes, tail: 'x'.repeat(200), command: '/usr/local/bin/some-task --quiet' },
    expireAt: forever,
  });
}

const line = `${'x'.repeat(lineBytes - 1)}\n`;
const outputOf = (bytes: number) => Buffer.from(line.repeat(Math.ceil(bytes / lineBytes))).subarray(0, bytes);
const [shipped, stored10] = [outputOf(shippedBytes), outputOf(linesPerRun * lineBytes)];
const piece = ({ id: run }: Run, data: Uint8Array): LogChunk => ({
  ...{ run, seq: 0, offset: 0, data, at: start, expireAt: forever },
});
const some = (from: number, count: number, bytes: number) =>
  Array.from({ length: count }, (_, n) => record(from + n, bytes));

/** What History has made of these runs. */
async function documents(db: Db, runs: readonly Run[]): Promise<[logs: Document[], records: Document[]]> {
  const ids = runs.map(({ id }) => id);
  const logs = db.collection('logs').find({ run: { $in: ids } });
  const records = db.collection<Document & { _id: string }>('runs').find({ _id: { $in: ids } });
  return [await logs.toArray(), await records.toArray()];
}

/** The very documents, into collections with the very indexes. */
async function bareInsert(bare: Db, [logs, records]: [Document[], Document[]]): Promise<void> {
  await bare.collection('logs').insertMany(logs, { ordered: false });
  await bare.collection('runs').insertMany(records, { ordered: false });
}

/** In turns, so that what else the machine does meets both alike. */
async function ship(history: History, db: Db, bare: Db): Promise<BenchRow> {
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let batch = 0; batch < batches; batch++) {
    const runs = some(batch * batchRuns, batchRuns, shippedBytes);
    ours.push(
      await timed(async () => {
        await history.saveLogs(runs.map((run) => piece(run, shipped)));
        await history.saveRuns(runs);
      }),
    );
    const same = await documents(db, runs);
    theirs.push(await timed(() => bareInsert(bare, same)));
  }
  const perSecond = (times: readonly number[]) => (batchRuns * 1_000) / percentile(times, 0.5);
  return {
    name: `${batchRuns} ended runs with 2 KiB of output each to a call, beside bare insertMany`,
    ...{ value: rate(perSecond(ours)), yardstick: rate(perSecond(theirs)) },
    ratio: `${(perSecond(ours) / perSecond(theirs)).toFixed(2)} x`,
  };
}

/** What an agent's spool holds after an outage: a start, an end and output of each run; beside the same documents in bare calls. */
async function drain(history: History, db: Db, bare: Db, dir: string): Promise<BenchRow> {
  const clock = systemClock();
  const events = eventBus();
  const back = Promise.withResolvers<void>();
  const gate =
    <T>(save: (items: readonly T[]) => Promise<void>) =>
    async (items: readonly T[]) => {
      await back.promise;
      await save(items);
    };
  const ledger = createLedger({
    ...{ dir, clock, events, ids: systemIds() },
    history: {
      saveRuns: gate(history.saveRuns),
      saveLogs: gate(history.saveLogs),
      addAlerts: gate(history.addAlerts),
    },
  });
  const from = batches * batchRuns;
  const left = { runs: 2 * backlogRuns, chunks: backlogRuns };
  const through = Promise.withResolvers<void>();
  events.on((event) => {
    if (event.type !== 'ledger.acked') return;
    left.runs -= event.runs;
    left.chunks -= event.chunks;
    if (left.runs <= 0 && left.chunks <= 0) through.resolve();
  });
  for (let at = 0; at < backlogRuns; at += livingRuns) {
    const runs = some(from + at, livingRuns, shippedBytes);
    await ledger.record(runs.map((run) => ({ ...run, state: 'running', endedAt: null, exitCode: null })));
    for (const { id } of runs) ledger.output(id, 0, shipped, forever);
    await ledger.record(runs);
  }
  const stop = new AbortController();
  const shipping = ledger.run(stop.signal);
  back.resolve();
  const ours = await timed(() => through.promise);
  stop.abort();
  await shipping;
  const [logs, records] = await documents(db, some(from, backlogRuns, shippedBytes));
  const theirs = await timed(async () => {
    for (let at = 0; at < backlogRuns; at += backlogBatch)
      await bareInsert(bare, [logs.slice(at, at + backlogBatch), records.slice(at, at + backlogBatch)]);
  });
  const perSecond = (ms: number) => (backlogRuns * 1_000) / ms;
  return {
    name: `a spool's backlog of ${thousands(backlogRuns)} runs, each a start, an end and 2 KiB, beside bare insertMany of what comes of it, ${backlogBatch} a call`,
    ...{ value: rate(perSecond(ours)), yardstick: rate(perSecond(theirs)) },
    ratio: `${(theirs / ours).toFixed(2)} x`,
  };
}

const rate = (runs: number) => `${thousands(runs)} runs/s, ${((runs * shippedBytes) / 1e6).toFixed(1)} MB/s`;

/** As many runs as there shall be, or as there is time for. */
async function fill(history: History, from: number): Promise<{ stored: number; row: BenchRow }> {
  const began = performance.now();
  let stored = from;
  while (stored < mostRuns && performance.now() - began < fillMs) {
    const runs = some(stored, Math.min(fillBatch, mostRuns - stored), stored10.length);
    await Promise.all([history.saveLogs(runs.map((run) => piece(run, stored10))), history.saveRuns(runs)]);
    stored += runs.length;
  }
  const perSecond = ((stored - from) * 1_000) / (performance.now() - began);
  const wanted = stored < mostRuns ? ` (of ${thousands(mostRuns)}, what fits in ${fillMs / 1_000} s)` : '';
  return {
    stored,
    row: {
      name: `${thousands(stored)} runs${wanted}, ${fillBatch} a call, ${linesPerRun} lines of output each`,
      value: `${thousands(perSecond)} runs/s`,
    },
  };
}

/** A page of each kind of list, the first and a deep one, beside a bare find that walks the same index. */
async function lists(history: History, db: Db, stored: number): Promise<BenchRow[]> {
  const kinds: [name: string, of: number, query: Partial<RunQuery>][] = [
    ['all runs', 1, {}],
    ["a worker's", 7, { worker: 'w1' }],
    ["a group's", 20, { group: 'g3' }],
    ["a job's", jobs, { group: 'g3', name: 'job3' }],
    ['those that failed', 1_000, { state: 'failed' }],
  ];
  const runs = db.collection('runs');
  const rows: BenchRow[] = [];
  for (const [name, of, query] of kinds) {
    const last = Math.max(2, Math.min(deepestPage, Math.floor(stored / of / page)));
    for (const number of [1, last]) {
      // Where it begins: what was due there.
      const above = (number - 1) * page * of;
      const to = number === 1 ? undefined : start + Math.floor((stored - above) / jobs) * 60_000;
      const more = to === undefined ? {} : { to };
      const [ours, theirs]: [number[], number[]] = [[], []];
      const until = performance.now() + listMs;
      while (ours.length < 2 || (ours.length < listCalls && performance.now() < until)) {
        ours.push(await timed(() => history.runs({ limit: page, ...query, ...more })));
        theirs.push(await timed(() => bareFind(runs, query, to)));
      }
      rows.push(beside(`page ${thousands(number)} of ${name}, ${page} a page`, ours, theirs, 'a bare find'));
    }
  }
  return rows;
}

function bareFind(runs: Collection, kind: Partial<RunQuery>, to: number | undefined): Promise<Document[]> {
  const order = {
    $gte: '0'.padStart(16, '0'),
    ...(to === undefined ? {} : { $lt: String(to).padStart(16, '0') }),
  };
  return runs
    .find({ ...kind, order })
    .sort({ order: -1 })
    .limit(page + 1)
    .batchSize(page + 1)
    .toArray();
}

/** Runs anywhere among them, and their logs. */
async function single(history: History, db: Db, stored: number): Promise<BenchRow[]> {
  const [runs, logs] = [db.collection<Document & { _id: string }>('runs'), db.collection('logs')];
  const times: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let n = 0; n < 300; n++) {
    const { id } = record((n * 7_919) % stored, 0);
    times[0].push(await timed(() => history.run(id)));
    times[1].push(await timed(() => runs.findOne({ _id: id })));
    times[2].push(await timed(() => history.log(id, 0, 1_048_576)));
    times[3].push(await timed(() => logs.find({ run: id }).sort({ offset: 1 }).toArray()));
  }
  return [
    beside('one run by its id, any of them', times[0], times[1], 'a bare find'),
    beside("one run's log, any of them", times[2], times[3], 'a bare find'),
  ];
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
    name: `1 MiB anywhere in a log of ${thousands(longLogBytes / lineBytes)} lines: p50 and p99 of ${times.length}`,
    value: both(times),
  };
}

async function size(db: Db, onDisk: number): Promise<BenchRow> {
  const [runs, logs] = await Promise.all(['runs', 'logs'].map((name) => db.command({ collStats: name })));
  const each = (stats: Document | undefined, what: string) => thousands(stats?.[what] / runs?.count);
  const disk = onDisk > 0 ? `${thousands(onDisk)}; ` : '';
  return {
    name: `bytes a run with ${linesPerRun * lineBytes} bytes of output: ${onDisk > 0 ? "on the server's disk; of that by its own count, " : ''}its record, the record's indexes, the indexes of its log`,
    value: `${disk}${each(runs, 'size')}, ${each(runs, 'totalIndexSize')}, ${each(logs, 'totalIndexSize')}`,
  };
}

/** Of a server of our own; nothing where it is somebody else's. */
function diskBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile() && !one.parentPath.endsWith('/spool'))
    .reduce((sum, one) => sum + statSync(join(one.parentPath, one.name)).size, 0);
}

function beside(name: string, ours: readonly number[], theirs: readonly number[], what: string): BenchRow {
  return {
    name: `${name}: p50 and p99 of ${ours.length}`,
    ...{ value: both(ours), yardstick: `${what}: ${both(theirs)}` },
    ratio: `${(percentile(ours, 0.5) / percentile(theirs, 0.5)).toFixed(2)} x`,
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
