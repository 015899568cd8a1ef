import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { type Binary, MongoClient } from 'mongodb';
import type { Run } from '#core/model/run.ts';
import type { LogChunk } from '#core/ports/history.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { freePorts } from '#infra/free-ports.ts';
import { type MongoServer, startMongo } from '#infra/mongo/start-server.ts';
import { chunk, run } from '#test/contract/history-suite.ts';
import { effort } from '#test/effort.ts';
import { until, within } from '#test/until.ts';

const kills = effort(3, 12);
const perBatch = 40;
/** A killing comes when this many batches, more or less, have been acknowledged since the last. */
const batchesBetween = 12;

async function start(folder: string, port: number): Promise<MongoServer> {
  const server = await startMongo({ folder, port });
  if ('missing' in server) throw new Error(server.missing);
  return server;
}

/** The records of a batch: each run as it starts, and as it ends; its output in two pieces. */
function batch(at: number): { runs: Run[]; chunks: LogChunk[] } {
  const ended = Array.from({ length: perBatch }, (_, n) =>
    run(at, { name: `job${n}`, state: 'succeeded', exitCode: 0, endedAt: run(at).instant }),
  );
  const started = ended.map((each) => ({
    ...each,
    state: 'running' as const,
    exitCode: null,
    endedAt: null,
  }));
  const chunks = ended.flatMap(({ id }) => [
    chunk(id, 0, 0, `${id} one\n`),
    chunk(id, 1, 4 + id.length + 1, 'two\n'),
  ]);
  return { runs: [...started, ...ended], chunks };
}

/** Some of many: to read each by itself takes a stand-in long. */
const sample = <T>(all: readonly T[]): T[] => all.filter((_, at) => at % 97 === 0);

it('loses nothing that it acknowledged and doubles nothing, when its server is killed again and again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cronfleet-mongo-outage-'));
  // One that nobody is given while the server is down.
  const [port = 0] = await freePorts(1);
  let server = await start(folder, port);
  let done = false;
  let over = false;
  t.after(async () => {
    // Whatever has become of it: who writes without end would keep the file from its own.
    [done, over] = [true, true];
    await history.close();
    await server.stop();
    rmSync(folder, { recursive: true });
  });
  const url = `${server.url}/outage?serverSelectionTimeoutMS=2000`;
  const history = mongoHistory({ url, clock: systemClock() });
  let failures = 0;
  const acknowledged: number[] = [];
  let told = () => {};

  /** As the agents do it: the same again until it is acknowledged. */
  const persistently = async (save: () => Promise<void>) => {
    for (;;)
      try {
        return await save();
      } catch (error) {
        if (over) throw error;
        failures += 1;
      }
  };
  const write = async (first: number) => {
    for (let at = first; !done; at += 3) {
      const { runs, chunks } = batch(at);
      await persistently(() => history.saveLogs(chunks));
      await persistently(() => history.saveRuns(runs));
      acknowledged.push(at);
      told();
    }
  };
  const writers = [write(0), write(1), write(2)];

  for (let killed = 0; killed < kills; killed++) {
    const goal = acknowledged.length + batchesBetween;
    const reached = new Promise<void>((resolve) => {
      told = () => {
        if (acknowledged.length >= goal) resolve();
      };
    });
    await within(`${goal} batches`, reached, () => `${acknowledged.length}, and ${failures} failures`);
    await server.stop('SIGKILL');
    // Every other time until somebody notices; else it may be back before the driver's own second try.
    const before = failures;
    if (killed % 2 === 0)
      await until(
        'a failure',
        () => failures,
        (now) => now > before,
      );
    server = await start(folder, port);
  }
  done = true;
  await Promise.all(writers);

  const all = acknowledged.flatMap((at) => batch(at).runs.slice(perBatch));
  const client = new MongoClient(url);
  const db = client.db();
  const ids = await db.collection<{ _id: string }>('runs').find().project({ _id: 1 }).toArray();
  assert.deepEqual(ids.map(({ _id }) => _id).sort(), all.map(({ id }) => id).sort(), 'lost, or twice');
  for (const each of sample(all)) assert.deepEqual(await history.run(each.id), each);
  const states = await db.collection('runs').distinct('state');
  assert.deepEqual(states, ['succeeded'], 'a start has come over an end');
  const pieces = await db.collection<{ run: string; offset: number; data: Binary }>('logs').find().toArray();
  const texts = new Map<string, string>();
  for (const { run: of, data } of pieces.toSorted((a, b) => a.offset - b.offset))
    texts.set(of, (texts.get(of) ?? '') + Buffer.from(data.buffer).toString());
  assert.equal(texts.size, all.length);
  for (const { id } of all) assert.equal(texts.get(id), `${id} one\ntwo\n`);
  await client.close();
});
