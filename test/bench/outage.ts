import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Binary, type Db, MongoClient } from 'mongodb';
import { createLedger } from '#agent/shipper/create-ledger.ts';
import { instantText } from '#core/model/ids.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { type MongoServer, startMongo } from '#infra/mongo/start-server.ts';
import type { BenchTable } from './bench.ts';

const runsPerSecond = 200;
const calmMs = 10_000;
const awayMs = 60_000;
const tickMs = 50;
/** What waits without an outage, too: what was handed over a moment ago. */
const calmRecords = 64;
/** A backlog is behind by then, or something is wrong. */
const drainMs = 120_000;
const start = Date.UTC(2026, 0, 1);
const forever = Date.UTC(2126, 0, 1);

/**
 * An agent's ledger (spool and shipper) hands on 200 runs a second, each a start, two pieces of output and an end, while its
 * database is killed and stays away for a minute. Then what the database holds is held against what was handed over.
 */
export async function bench(): Promise<BenchTable> {
  const folder = mkdtempSync(join(tmpdir(), 'cronfleet-outage-bench-'));
  let server = await started(join(folder, 'server'));
  const url = `${server.url}/outage`;
  const clock = systemClock();
  const events = eventBus();
  const history = mongoHistory({ url, clock });
  const ledger = createLedger({ dir: join(folder, 'spool'), history, clock, ids: systemIds(), events });
  const stop = new AbortController();
  const shipping = ledger.run(stop.signal);
  let most = 0;
  let n = 0;

  const feed = async (ms: number) => {
    const first = n;
    for (const began = performance.now(); performance.now() - began < ms; await sleep(tickMs)) {
      const due = first + Math.floor(((performance.now() - began) / 1_000) * runsPerSecond);
      const batch = Array.from({ length: Math.max(0, due - n) }, (_, more) => ended(n + more));
      n += batch.length;
      await ledger.record(batch.map(running));
      for (const [at, { id }] of batch.entries()) {
        const data = output(n - batch.length + at);
        ledger.output(id, 0, data.subarray(0, 100), forever);
        ledger.output(id, 100, data.subarray(100), forever);
      }
      await ledger.record(batch);
      most = Math.max(most, ledger.waiting());
    }
  };

  await feed(calmMs);
  await server.stop('SIGKILL');
  await feed(awayMs);
  const back = new Promise<void>((resolve) => {
    events.on((event) => event.type === 'ledger.back' && resolve());
  });
  server = await started(join(folder, 'server'), server.port);
  const cameBack = performance.now();
  const behind = async () => {
    while (ledger.waiting() > calmRecords && performance.now() - cameBack < drainMs) await sleep(tickMs);
    return performance.now() - cameBack;
  };
  const [drained] = await Promise.all([behind(), back, feed(calmMs)]);
  await behind();
  stop.abort();
  await shipping;
  await history.close();

  const client = new MongoClient(url);
  const { lost, doubled, differing } = await compare(client.db(), n);
  await client.close();
  await server.stop();
  rmSync(folder, { recursive: true });
  const count = (of: number) => of.toLocaleString('en');
  return {
    title: `An outage of History: its server killed and away for ${awayMs / 1_000} s, ${count(n)} runs at ${runsPerSecond} a second`,
    rows: [
      { name: 'records lost', value: count(lost) },
      { name: 'records or bytes there twice', value: count(doubled) },
      { name: 'bytes of output that differ or are missing', value: count(differing) },
      { name: 'most records that waited in the spool', value: count(most) },
      {
        name: 'until the backlog was stored, from when the server was back, runs going on',
        value: `${(drained / 1_000).toFixed(1)} s`,
      },
    ],
  };
}

async function started(folder: string, port?: number): Promise<MongoServer> {
  const server = await startMongo({ folder, ...(port === undefined ? {} : { port }) });
  if ('missing' in server) throw new Error(server.missing);
  return server;
}

function ended(n: number): Run {
  const instant = start + Math.floor(n / 100) * 1_000;
  const [group, name] = ['default', `job${n % 100}`];
  return blankRun({
    ...{ id: `${group}~${name}~${instantText(instant)}~1`, group, name, instant, plannedAt: instant },
    ...{ state: 'succeeded', worker: 'w', exitCode: 0, startedAt: instant + 1, endedAt: instant + 2 },
    ...{ bytes: output(n).length, expireAt: forever },
  });
}

const running = (run: Run): Run => ({
  ...run,
  ...{ state: 'running', exitCode: null, endedAt: null, bytes: 0, expireAt: null },
});

/** Any bytes, other ones for each run, mostly no text at all. */
function output(n: number): Buffer {
  const seed = createHash('sha512').update(String(n)).digest();
  return Buffer.concat(Array.from({ length: 4 + (n % 5) }, () => seed));
}

/** What the database holds against what was handed over, each run and byte. */
async function compare(db: Db, runs: number): Promise<{ lost: number; doubled: number; differing: number }> {
  const stored = new Map<string, { state: string; also?: unknown }>();
  for await (const { _id, state, also } of db
    .collection<{ _id: string; state: string; also?: unknown }>('runs')
    .find())
    stored.set(_id, { state, also });
  const pieces = new Map<string, { offset: number; data: Buffer }[]>();
  for await (const { run, offset, data } of db
    .collection<{ run: string; offset: number; data: Binary }>('logs')
    .find()) {
    const all = pieces.get(run) ?? [];
    all.push({ offset, data: Buffer.from(data.value()) });
    pieces.set(run, all);
  }
  const found = { lost: 0, doubled: Math.max(0, stored.size - runs), differing: 0 };
  for (let n = 0; n < runs; n++) {
    const { id } = ended(n);
    const record = stored.get(id);
    if (record?.state !== 'succeeded') found.lost += 1;
    if (record?.also !== undefined) found.doubled += 1;
    const expected = output(n);
    const got = Buffer.alloc(expected.length);
    let bytes = 0;
    for (const { offset, data } of pieces.get(id) ?? []) {
      data.copy(got, offset);
      bytes += data.length;
    }
    found.doubled += Math.max(0, bytes - expected.length);
    for (let at = 0; at < expected.length; at++) if (got[at] !== expected[at]) found.differing += 1;
  }
  return found;
}
