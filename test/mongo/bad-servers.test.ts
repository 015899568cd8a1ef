import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { type Document, Long, MongoClient } from 'mongodb';
import type { Run } from '#core/model/run.ts';
import { HistoryError } from '#core/ports/history.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { mongoFindings } from '#core/stores/history/mongo/findings.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { type MongoServer, startMongo } from '#infra/mongo/start-server.ts';
import { chunk, run } from '#test/contract/history-suite.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { until } from '#test/until.ts';
import { fakeServer, hello } from './fake-server.ts';
import { mongoForTests } from './server.ts';

const server = await mongoForTests();
const clock = systemClock();
/** Deadlines that a test can wait for where no answer is to come: one that is to may take long on a busy machine. */
const soon = 'serverSelectionTimeoutMS=400&connectTimeoutMS=400&socketTimeoutMS=400';

const isFault = (code: HistoryError['code'], text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof HistoryError && error.code === code, `${error}`);
  assert.match(error.message, text);
  return true;
};

/** The findings, each as its level and code; `texts` what they tell. */
async function found(url: string, more: { now?: () => number } = {}) {
  const findings = await mongoFindings({ url, clock: { ...clock, ...more } });
  return {
    codes: findings.map(({ level, code }) => `${level} ${code}`),
    text: findings.map(({ message }) => message).join('\n'),
  };
}

/** A server that says of itself what `of` makes of a good one, and does whatever is asked. */
async function pretending(t: TestContext, of: Document, version = '8.0.0') {
  let url = '';
  const fake = await fakeServer((command) => {
    if ('hello' in command || 'ismaster' in command || 'isMaster' in command) return hello(url, of);
    if ('buildInfo' in command) return { ok: 1, version };
    if ('find' in command)
      return {
        ok: 1,
        cursor: {
          id: Long.ZERO,
          ns: 'a.b',
          firstBatch: of.setName === null ? [] : [{ _id: 'layout', v: 1 }],
        },
      };
    return { ok: 1, n: 1, nModified: 1 };
  });
  url = fake.url;
  t.after(fake.close);
  return fake;
}

describe('What is found about a MongoDB server', () => {
  it('is nothing where all is well', async () => {
    assert.deepEqual(await found(server.database().url), { codes: [], text: '' });
  });

  it('is a URL that cannot be read, without its password', async () => {
    const { codes, text } = await found('mongodb://ann:secret@host:port/x');
    assert.deepEqual(codes, ['error store_url_invalid']);
    assert.doesNotMatch(text, /secret/);
  });

  it('is a server that is away, or has no such name, by address', async () => {
    for (const url of [`mongodb://ann:secret@127.0.0.1:1/x?${soon}`, `mongodb://host.invalid/x?${soon}`]) {
      const { codes, text } = await found(url);
      assert.deepEqual(codes, ['error history_unreachable']);
      assert.match(text, /127\.0\.0\.1:1|host\.invalid/);
      assert.match(text, /records wait on the workers/);
      assert.doesNotMatch(text, /secret/);
    }
    assert.deepEqual((await found(`mongodb+srv://host.invalid/x?${soon}`)).codes, [
      'error history_unreachable',
    ]);
  });

  it('is a server that takes the connection and says nothing', async (t) => {
    const fake = await fakeServer(() => null);
    t.after(fake.close);
    assert.deepEqual((await found(`${fake.url}/x?${soon}`)).codes, ['error history_unreachable']);
  });

  it('is a clock an hour off, whichever way, and neither one that is 200 ms off nor a slow answer', async (t) => {
    const { url } = server.database();
    const at = async (offMs: number) => await found(url, { now: () => Date.now() + offMs });
    const [ahead, behind] = [await at(3_600_000), await at(-3_600_000)];
    assert.deepEqual(
      [ahead.codes, behind.codes],
      [['error history_clock_skewed'], ['error history_clock_skewed']],
    );
    assert.match(ahead.text, /60 min ahead/);
    assert.match(behind.text, /60 min behind/);
    const time = Date.now();
    const still = await pretending(t, { localTime: new Date(time) });
    for (const offMs of [-499, 200])
      assert.deepEqual((await found(still.url, { now: () => time + offMs })).codes, []);
    assert.deepEqual((await found(still.url, { now: () => time + 501 })).codes, [
      'error history_clock_skewed',
    ]);
    // It takes 2 s, and the server has looked at its clock near their end.
    let looks = 0;
    const late = await pretending(t, { localTime: new Date(time + 1_900) });
    assert.deepEqual((await found(late.url, { now: () => time + 2_000 * looks++ })).codes, []);
  });

  it('is a version that is too old to speak to, or no longer maintained', async (t) => {
    const ancient = await pretending(t, { maxWireVersion: 6 }, '3.6.8');
    const { codes, text } = await found(`${ancient.url}/x`);
    assert.deepEqual(codes, ['error history_version_old']);
    assert.match(text, /Update the server/);
    const old = await pretending(t, { maxWireVersion: 13 }, '5.0.9');
    assert.deepEqual((await found(`${old.url}/x`)).codes, ['warning history_version_old']);
    const good = await pretending(t, {});
    assert.deepEqual((await found(`${good.url}/x`)).codes, []);
  });

  it('is forgiven: a server that was too old and has been updated is spoken to again', async (t) => {
    const wire = { maxWireVersion: 6 };
    const fake = await pretending(t, wire);
    const history = mongoHistory({ url: `${fake.url}/x?${soon}&heartbeatFrequencyMS=500`, clock });
    t.after(() => history.close());
    const asks = () =>
      history.now().then(
        () => true,
        (error: unknown) => error instanceof HistoryError && error.code,
      );
    for (let turn = 0; turn < 3; turn += 1) assert.equal(await asks(), 'unavailable');
    wire.maxWireVersion = 21;
    await until('it to be spoken to again', asks, (answer) => answer === true);
  });

  it('is a single server without a set', async (t) => {
    const alone = await pretending(t, { setName: null, hosts: null });
    assert.deepEqual((await found(`${alone.url}/x`)).codes, ['error store_standalone']);
  });

  it('is a layout of a later cronfleet, which is left alone', async () => {
    const { url, name } = server.database();
    await server.client
      .db(name)
      .collection<{ _id: string }>('meta')
      .insertOne({ _id: 'layout', v: 99 } as never);
    assert.deepEqual((await found(url)).codes, ['error store_newer']);
    const history = mongoHistory({ url, clock });
    await assert.rejects(history.saveRuns([run(1)]), /later cronfleet/);
    await history.close();
    assert.deepEqual(
      (await server.client.db(name).listCollections().toArray()).map(({ name: each }) => each),
      ['meta'],
    );
  });
});

describe('A MongoDB server with users', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cronfleet-mongo-users-'));
  const users: [name: string, database: string, role: string][] = [
    ['root', 'admin', 'root'],
    ['reader', 'x', 'read'],
    ['writer', 'x', 'readWrite'],
  ];
  const started: MongoServer[] = [];
  after(async () => {
    for (const one of started) await one.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const open = await startMongo({ folder });
  if ('missing' in open) throw new Error(open.missing);
  started.push(open);
  const admin = new MongoClient(open.url);
  for (const [name, database, role] of users)
    await admin.db(database).command({ createUser: name, pwd: 'good', roles: [{ role, db: database }] });
  await admin.close();
  await open.stop();
  const locked = await startMongo({ folder, auth: true });
  if ('missing' in locked) throw new Error(locked.missing);
  started.push(locked);
  const as = (who: string) => `${locked.url.replace('//', `//${who}@`)}/x?authSource=x`;

  it('is served as a user who may write, and refuses a wrong password and one who may only read', async () => {
    assert.deepEqual((await found(as('writer:good'))).codes, []);
    const wrong = await found(as('writer:wrong'));
    assert.deepEqual(wrong.codes, ['error history_credential_refused']);
    assert.match(wrong.text, /password/);
    assert.doesNotMatch(wrong.text, /wrong/);
    assert.deepEqual((await found(as('reader:good'))).codes, ['error history_read_only']);
    assert.deepEqual((await found(`${locked.url}/x`)).codes, ['error history_read_only']);
  });

  it('tells who writes as a reader what is missing, and lets the reader read', async () => {
    const [writer, reader] = ['writer:good', 'reader:good'].map((who) =>
      mongoHistory({ url: as(who), clock }),
    );
    assert.ok(writer && reader);
    await writer.saveRuns([run(1)]);
    await assert.rejects(reader.saveRuns([run(2)]), isFault('refused', /save records.*readWrite/));
    await assert.rejects(reader.saveLogs([chunk('r', 0, 0, 'x')]), isFault('refused', /readWrite/));
    assert.deepEqual((await reader.runs({ limit: 5 })).items, [run(1)]);
    await Promise.all([writer.close(), reader.close()]);
  });
});

describe('A history whose server does not answer', () => {
  it('opens all the same, fails each call by its deadline, and closes', async () => {
    const history = mongoHistory({ url: `mongodb://127.0.0.1:1/x?${soon}`, clock });
    await assert.rejects(
      history.saveRuns([run(1)]),
      isFault('unavailable', /127\.0\.0\.1:1\/x: cannot save records/),
    );
    await assert.rejects(history.now(), isFault('unavailable', /tell the time/));
    await history.close();
    await assert.rejects(history.now(), isFault('unavailable', /closed/));
  });

  it('gives up a call to a server that has stopped in the middle, and goes on when it is back', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'cronfleet-mongo-stopped-'));
    const own = await startMongo({ folder });
    assert.ok(!('missing' in own));
    t.after(async () => {
      process.kill(own.pid, 'SIGCONT');
      await own.stop();
      rmSync(folder, { recursive: true });
    });
    const time = new VirtualClock();
    const history = mongoHistory({ url: `${own.url}/x?socketTimeoutMS=1000`, clock: time });
    t.after(() => history.close());
    await history.saveRuns([run(1)]);
    process.kill(own.pid, 'SIGSTOP');
    const calls = [
      history.saveRuns([run(2)]),
      history.run(run(1).id),
      history.runs({ limit: 1 }),
      history.now(),
    ];
    const ended = Promise.allSettled(calls);
    await time.advance(12_000);
    for (const each of await ended)
      assert.ok(
        each.status === 'rejected' && isFault('unavailable', /no answer within 12000 ms/)(each.reason),
      );
    process.kill(own.pid, 'SIGCONT');
    // What it was asked before may be in the way for a moment.
    await until(
      'a call to be taken',
      () =>
        history.saveRuns([run(3)]).then(
          () => true,
          (error: unknown) => `${error}`,
        ),
      (answer) => answer === true,
    );
    assert.deepEqual(await history.run(run(3).id), run(3));
    await history.close();
    assert.equal(time.pending, 0);
  });

  it('closes while calls are under way', async (t) => {
    const stalled = await fakeServer((command) =>
      'hello' in command || 'ismaster' in command ? hello(stalled.url) : null,
    );
    t.after(stalled.close);
    const history = mongoHistory({ url: `${stalled.url}/x?${soon}`, clock });
    const call = assert.rejects(history.run('x'), HistoryError);
    await history.close();
    await call;
  });
});

describe('A database that is not as it was left', () => {
  it('is made anew within a minute of being dropped', async () => {
    const { url, name } = server.database();
    const time = new VirtualClock();
    const history = mongoHistory({ url, clock: time });
    await history.saveRuns([run(1)]);
    await server.client.db(name).dropDatabase();
    await time.advance(60_000);
    await history.saveRuns([run(2)]);
    assert.deepEqual((await history.runs({ limit: 5 })).items, [run(2)]);
    assert.ok((await server.client.db(name).collection('runs').indexes()).length > 5);
    await history.close();
  });

  it('refuses documents that are none of ours, by its own schema', async () => {
    const { url, name } = server.database();
    const history = mongoHistory({ url, clock });
    await history.saveRuns([run(1)]);
    const db = server.client.db(name);
    for (const collection of ['runs', 'logs', 'audit', 'workers'])
      await assert.rejects(db.collection<{ _id: string }>(collection).insertOne({ _id: 'x' }), { code: 121 });
    await history.close();
  });

  it('saves what it may of a call of which it may not save all, and says so; a repeat changes nothing', async () => {
    const { url } = server.database();
    const history = mongoHistory({ url, clock });
    const ended = run(5, { state: 'lost', endedAt: 1 });
    await history.saveRuns([ended]);
    await history.saveRuns([run(4)]);
    const nonsense = { state: 'nonsense' as Run['state'] };
    const bad = [run(2, nonsense), run(4, nonsense)];
    const records = [run(1), ...bad, run(5, { state: 'failed', endedAt: 2 }), run(3)];
    for (let time = 0; time < 2; time++) {
      await assert.rejects(history.saveRuns(records), isFault('unfit', /schema/));
      assert.deepEqual(
        (await history.runs({ limit: 9 })).items.map(({ id, also }) => [id, also?.state]),
        [
          [run(5).id, 'failed'],
          [run(4).id, undefined],
          [run(3).id, undefined],
          [run(1).id, undefined],
        ],
      );
    }
    await history.close();
  });
});
