import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { checkJob } from '#core/cluster/check-job.ts';
import { claimOrder } from '#core/cluster/claim.ts';
import { cancelOrder, findRun } from '#core/cluster/find-run.ts';
import type { JobStore, StoredJob } from '#core/cluster/job-record.ts';
import { deleteJob, getJob, saveJob } from '#core/cluster/jobs.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { askKill, livingRuns } from '#core/cluster/kills.ts';
import { orderBackfill, orderRun } from '#core/cluster/orders.ts';
import { decode, OrderValue, type RunningValue } from '#core/cluster/records.ts';
import type { JobInput } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun } from '#core/model/run.ts';
import type { History } from '#core/ports/history.ts';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import { sqliteHistory } from '#core/stores/history/sqlite/sqlite-history.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const t0 = Date.UTC(2026, 10, 22, 16, 35);
const minute = 60_000;
const id = 'default/a';
const layout = layoutOf();
const refused = (code: string) => (error: unknown) => error instanceof Refusal && error.code === code;

let clock: VirtualClock;
let kv: Kv;
let store: JobStore;
let history: History;

beforeEach(() => {
  clock = new VirtualClock({ now: t0 });
  kv = memoryKv({ clock });
  store = { kv, layout, now: () => clock.now() };
  history = sqliteHistory({ file: ':memory:', clock });
});

afterEach(() => history.close());

async function stored(more: Partial<JobInput> = {}): Promise<StoredJob> {
  const job = checkJob({ name: 'a', command: 'true', schedule: '* * * * *', ...more });
  await saveJob(store, job, { by: 'me', condition: {}, cronExpr: null });
  const found = await getJob(store, id);
  assert.ok(found);
  return found;
}

async function put(key: string, value: unknown): Promise<void> {
  await kv.txn({ compare: [], then: [{ type: 'put', key, value: JSON.stringify(value) }] });
}

async function worker(name: string, state = 'live'): Promise<void> {
  await put(layout.worker(name), {
    ...{ id: name, host: name, addresses: [], labels: {}, version: '0', state, since: t0, capacity: 1 },
    ...{ tzdata: '', switchesUser: false, clockSkewMs: 0 },
  });
}

async function orders() {
  const { entries } = await kv.range(prefixRange(layout.ordersOf(id)));
  return entries.map((entry) => entry.key.slice(layout.ordersOf(id).length));
}

const running = (more: Partial<RunningValue> = {}): RunningValue => ({
  ...{ worker: 'w1', incarnation: '1', state: 'claimed', instant: null, attempt: 1, losses: 0, covers: null },
  ...{ notBefore: t0, at: t0, trigger: 'manual', order: 'o1', by: 'me', env: {} },
  ...more,
});

/** A worker takes the order that stands. */
async function claimed(order: string, run: string): Promise<boolean> {
  const { entries } = await kv.range({ key: layout.order(id, order) });
  const [entry] = entries;
  assert.ok(entry);
  const read = decode(OrderValue, entry);
  assert.ok(read.ok);
  const job = await getJob(store, id);
  const taken = { ...read.value, taken: { run, at: t0 }, done: true };
  const basis = { job: id, lane: '~', order, orderMod: entry.mod, jobMod: job?.mod ?? '0' };
  const claim = { run, overlaps: false, running: running({ order }), order: taken };
  return (await kv.txn(claimOrder(layout, basis, claim).txn)).succeeded;
}

const ask = { env: {}, worker: null, by: 'me' };

describe('an order that is asked for twice under one id', () => {
  it('is one order, with the same answer', async () => {
    const job = await stored();
    const first = await orderRun(store, job, { ...ask, id: 'k1' });
    const second = await orderRun(store, job, { ...ask, id: 'k1' });
    assert.deepEqual(second, { ...first, fresh: false });
    assert.deepEqual([first.runs, await orders()], [['default~a~k1~1'], ['k1']]);
  });

  it('is one order when both ask at the same time', async () => {
    const job = await stored();
    const both = await Promise.all([1, 2].map(() => orderRun(store, job, { ...ask, id: 'k1' })));
    assert.deepEqual(both.map(({ fresh }) => fresh).sort(), [false, true]);
    assert.deepEqual(await orders(), ['k1']);
  });

  it('is answered as it was though it has been taken since, and the job disabled', async () => {
    const job = await stored();
    const { runs } = await orderRun(store, job, { ...ask, id: 'k1' });
    assert.ok(await claimed('k1', 'default~a~k1~1'));
    const disabled = await stored({ enabled: false });
    assert.deepEqual((await orderRun(store, disabled, { ...ask, id: 'k1' })).runs, runs);
    await assert.rejects(orderRun(store, disabled, { ...ask, id: 'k2' }), refused('job_disabled'));
  });

  it('goes to no worker that came since, in mode all', async () => {
    const job = await stored({ mode: 'all' });
    await worker('w1');
    await worker('w2');
    await worker('w3', 'away');
    const first = await orderRun(store, job, { ...ask, id: 'k1' });
    assert.deepEqual(first.runs, ['default~a~k1~1~w1', 'default~a~k1~1~w2']);
    await worker('w3');
    assert.deepEqual((await orderRun(store, job, { ...ask, id: 'k1' })).runs, first.runs);
    assert.deepEqual(await orders(), ['k1~w1', 'k1~w2']);
  });

  it('is not that of an id which only begins so', async () => {
    const job = await stored();
    await orderRun(store, job, { ...ask, id: 'k11' });
    assert.equal((await orderRun(store, job, { ...ask, id: 'k1' })).fresh, true);
  });
});

describe('an order', () => {
  it('of a job that has gone meanwhile is refused', async () => {
    const job = await stored();
    await deleteJob(store, id, {});
    await assert.rejects(orderRun(store, job, { ...ask, id: 'k1' }), refused('job_not_found'));
    assert.deepEqual(await orders(), []);
  });

  it('for every worker needs one, and one for a worker needs that', async () => {
    const all = await stored({ mode: 'all' });
    await assert.rejects(orderRun(store, all, { ...ask, id: 'k1' }), refused('no_worker'));
    const one = await stored({ mode: 'one' });
    await assert.rejects(orderRun(store, one, { ...ask, id: 'k1', worker: 'w9' }), refused('worker_unknown'));
    await worker('w9');
    assert.deepEqual((await orderRun(store, one, { ...ask, id: 'k1', worker: 'w9' })).runs, [
      'default~a~k1~1',
    ]);
  });

  it('for the past counts its instants, both ends among them, and is refused beyond ten thousand', async () => {
    const job = await stored();
    const range = { by: 'me', from: t0 - 3 * minute, to: t0 };
    const first = await orderBackfill(store, job, { ...range, id: 'k1' });
    assert.deepEqual([first.count, first.runs], [4, ['default~a~k1.20261122T163200.000Z~1']]);
    const again = await orderBackfill(store, job, { ...range, from: t0, id: 'k1' });
    assert.deepEqual([again.count, again.runs, again.fresh], [4, first.runs, false]);
    const none = await orderBackfill(store, job, { ...range, from: t0 + 1, to: t0 + 2, id: 'k2' });
    assert.deepEqual([none.count, none.orders], [0, []]);
    const many = { ...range, from: t0 - 10_001 * minute, id: 'k3' };
    await assert.rejects(orderBackfill(store, job, many), refused('range_invalid'));
    const coming = { ...range, to: t0 + minute, id: 'k5' };
    await assert.rejects(orderBackfill(store, job, coming), (error) => {
      return refused('range_invalid')(error) && /still to come and runs by itself/.test(String(error));
    });
    const byHand = await stored({ schedule: null });
    await assert.rejects(orderBackfill(store, byHand, { ...range, id: 'k4' }), refused('schedule_missing'));
  });
});

describe('a run is found', () => {
  const run = 'default~a~k1~1';
  const state = async (of = run) => (await findRun(store, history, of))?.run.state ?? null;

  it('as waiting while nobody has taken its order, then by its key, then in History', async () => {
    const job = await stored();
    assert.equal(await state(), null);
    await orderRun(store, job, { ...ask, id: 'k1' });
    assert.equal(await state(), 'waiting');
    await claimed('k1', run);
    assert.equal(await state(), 'claimed');
    await history.saveRuns([blankRun({ id: run, group: 'default', name: 'a', state: 'running' })]);
    assert.equal(await state(), 'running');
    await history.saveRuns([blankRun({ id: run, group: 'default', name: 'a', state: 'failed' })]);
    assert.equal(await state(), 'failed');
  });

  it('by what is owed of it while History does not have it', async () => {
    const record = blankRun({ id: run, group: 'default', name: 'a', state: 'succeeded' });
    await put(layout.owing(run), { run: record, at: t0, by: 'w1' });
    assert.equal(await state(), 'succeeded');
  });

  it('of a backfill as waiting from its next instant to its last', async () => {
    const job = await stored();
    await orderBackfill(store, job, { id: 'k1', by: 'me', from: t0 - minute, to: t0 });
    assert.equal(await state('default~a~k1.20261122T163400.000Z~1'), 'waiting');
    assert.equal(await state('default~a~k1.20261122T163500.000Z~1'), 'waiting');
    assert.equal(await state('default~a~k1.20261122T163600.000Z~1'), null);
    assert.equal(await state('default~a~k1~1'), null);
  });

  it('while it lives, though History is away', async () => {
    await put(layout.run(id, '~', run), running());
    const away: History = { ...history, run: () => Promise.reject(new Error('away')) };
    assert.equal((await findRun(store, away, run))?.run.state, 'claimed');
    await assert.rejects(findRun(store, away, 'default~a~k2~1'), /away/);
    await orderRun(store, await stored(), { ...ask, id: 'k2' });
    assert.equal((await findRun(store, away, 'default~a~k2~1'))?.run.state, 'waiting');
    const ended = blankRun({ id: 'default~a~k3~1', group: 'default', name: 'a', state: 'failed' });
    await put(layout.owing(ended.id), { run: ended, at: t0, by: 'w1' });
    assert.equal((await findRun(store, away, ended.id))?.run.state, 'failed');
  });

  it('by no id that none can have', async () => {
    await assert.rejects(findRun(store, history, 'nonsense'), refused('run_id_invalid'));
  });
});

describe('a kill', () => {
  const run = 'default~a~k1~1';
  const how = { by: 'me', signal: null, graceMs: null };

  it('is asked for once, however often', async () => {
    await put(layout.run(id, '~', run), running());
    const first = await askKill(store, run, null, how);
    await clock.advance(1_000);
    const second = await askKill(store, run, null, { ...how, by: 'you' });
    assert.deepEqual([first.fresh, second.fresh], [true, false]);
    assert.deepEqual(second.standing, first.standing);
  });

  it('of a run that ended so is as good as done; of one that ended otherwise it is refused', async () => {
    const ended = (state: 'killed' | 'cancelled' | 'succeeded' | 'lost') =>
      blankRun({ id: run, group: 'default', name: 'a', state });
    assert.deepEqual(await askKill(store, run, ended('killed'), how), { standing: null, fresh: false });
    assert.deepEqual(await askKill(store, run, ended('cancelled'), how), { standing: null, fresh: false });
    await assert.rejects(askKill(store, run, ended('succeeded'), how), refused('run_ended'));
    await assert.rejects(askKill(store, run, null, how), refused('run_not_found'));
    assert.equal((await askKill(store, run, ended('lost'), how)).fresh, true);
  });

  it('takes back an order that nobody has taken, with a record, and loses against who takes it first', async () => {
    const job = await stored();
    await orderRun(store, job, { ...ask, id: 'k1' });
    const found = await findRun(store, history, run);
    assert.ok(found?.order);
    await claimed('k1', run);
    assert.equal(await cancelOrder(store, found.order, 'me'), null);
    assert.equal((await livingRuns(store, id)).length, 1);

    await orderRun(store, job, { ...ask, id: 'k2' });
    const other = await findRun(store, history, 'default~a~k2~1');
    assert.ok(other?.order);
    const cancelled = await cancelOrder(store, other.order, 'me');
    assert.equal(cancelled?.record.state, 'cancelled');
    assert.equal((await findRun(store, history, 'default~a~k2~1'))?.run.state, 'cancelled');
    await history.saveRuns(cancelled ? [cancelled.record] : []);
    await cancelled?.settle();
    assert.equal((await kv.range(prefixRange(layout.owed))).count, 0);
    assert.equal((await findRun(store, history, 'default~a~k2~1'))?.run.state, 'cancelled');
  });

  it('of what is left of a backfill is one record of its stretch', async () => {
    const job = await stored();
    await orderBackfill(store, job, { id: 'k1', by: 'me', from: t0 - 3 * minute, to: t0 });
    const first = 'default~a~k1.20261122T163200.000Z~1';
    const found = await findRun(store, history, first);
    assert.ok(found?.order);
    const { record } = (await cancelOrder(store, found.order, 'me')) ?? {};
    assert.deepEqual([record?.id, record?.instant, record?.until], [first, t0 - 3 * minute, t0]);
  });
});
