import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { settleAfterRestore } from '#core/cluster/after-restore.ts';
import { checkJob } from '#core/cluster/check-job.ts';
import type { JobStore } from '#core/cluster/job-record.ts';
import { getJob, pauseJob, saveJob } from '#core/cluster/jobs.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { orderBackfill, orderRun } from '#core/cluster/orders.ts';
import type { RunningValue } from '#core/cluster/records.ts';
import { instantText } from '#core/model/ids.ts';
import type { JobInput } from '#core/model/job.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import type { History } from '#core/ports/history.ts';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import { sqliteHistory } from '#core/stores/history/sqlite/sqlite-history.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const t0 = Date.UTC(2026, 10, 22, 16, 0);
const minute = 60_000;
const layout = layoutOf();

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

const settle = () => settleAfterRestore({ kv, layout, history });
const put = (key: string, value: unknown) =>
  kv.txn({ compare: [], then: [{ type: 'put', key, value: JSON.stringify(value) }] });
const save = (name: string, more: Partial<JobInput> = {}) =>
  saveJob(store, checkJob({ name, command: 'true', schedule: '* * * * *', ...more }), {
    ...{ by: 'me', condition: {}, cronExpr: null },
  });
const floor = async (name: string) => (await getJob(store, `default/${name}`))?.record.floor;
const idOf = (name: string, instant: number, attempt = 1, worker = '') =>
  `default~${name}~${instantText(instant)}~${attempt}${worker}`;
const record = (name: string, instant: number, more: Partial<Run> = {}) =>
  blankRun({
    ...{ id: idOf(name, instant), group: 'default', name, instant, state: 'succeeded', expireAt: t0 * 2 },
    ...more,
  });
const cursor = (name: string, instant: number, lane = '~') =>
  put(layout.cursor(`default/${name}`, lane), { instant, from: 'w1', why: 'run', run: null });
const running = (name: string, instant: number, more: Partial<RunningValue>) => {
  const run = idOf(name, instant, more.attempt);
  return put(layout.run(`default/${name}`, '~', run), {
    ...{ worker: 'w1', incarnation: '5', state: 'claimed', instant, attempt: 1, losses: 0, covers: null },
    ...{ notBefore: instant, at: instant, trigger: 'schedule', order: null, by: null, env: {}, ...more },
  });
};

describe('after a restore', () => {
  it('nothing below now is due, and what nobody decided is recorded as missed, once', async () => {
    for (const name of ['a', 'quiet', 'off', 'paused'])
      await save(name, { enabled: name !== 'off', ...(name === 'quiet' ? { schedule: null } : {}) });
    await pauseJob(store, 'default/paused', { by: 'me', reason: '', until: null });
    await cursor('a', t0 + minute);
    await history.saveRuns([2, 3, 4].map((n) => record('a', t0 + n * minute)));
    await clock.advance(10 * minute);
    const done = await settle();
    assert.deepEqual([done.jobs, done.missed], [2, 1]);
    assert.deepEqual(
      [await floor('a'), await floor('quiet'), await floor('off'), await floor('paused')],
      [t0 + 10 * minute, t0 + 10 * minute, t0, t0],
    );
    const missed = await history.run(idOf('a', t0 + 5 * minute));
    assert.deepEqual(
      [missed?.state, missed?.instant, missed?.until, missed?.count],
      ['missed', t0 + 5 * minute, t0 + 10 * minute, 6],
    );
    assert.match(missed?.reason ?? '', /restored from a backup/);
    const again = await settle();
    assert.deepEqual([again.jobs, again.missed], [0, 0]);
  });

  it('counts the lanes of a job that every worker runs by themselves', async () => {
    await save('all', { mode: 'all' });
    for (const worker of ['w1', 'w2']) await cursor('all', t0 + minute, worker);
    const ran = record('all', t0 + 3 * minute, { worker: 'w2', id: idOf('all', t0 + 3 * minute, 1, '~w2') });
    await history.saveRuns([ran]);
    await clock.advance(3 * minute);
    assert.equal((await settle()).missed, 1);
    const missed = await history.run(idOf('all', t0 + 2 * minute, 1, '~w1'));
    assert.deepEqual([missed?.state, missed?.worker, missed?.count], ['missed', 'w1', 2]);
  });

  it('drops orders that may have been carried out, and keeps those that only answer', async () => {
    await save('a');
    const job = await getJob(store, 'default/a');
    assert.ok(job);
    await orderRun(store, job, { id: 'now', by: 'me', env: {}, worker: null });
    await clock.advance(5 * minute);
    await orderBackfill(store, job, { id: 'past', by: 'me', from: t0, to: t0 + 3 * minute });
    const { entries } = await kv.range(prefixRange(layout.orders));
    const done = { ...JSON.parse(entries[0]?.value ?? ''), done: true };
    await put(layout.order('default/a', 'answered'), done);
    const { orders } = await settle();
    assert.deepEqual(orders.map(({ order, kind }) => [order, kind]).sort(), [
      ['now', 'run'],
      ['past', 'backfill'],
    ]);
    const left = await kv.range(prefixRange(layout.orders));
    assert.deepEqual(
      left.entries.map(({ key }) => key),
      [layout.order('default/a', 'answered')],
    );
  });

  it('lets go of what ended since and of attempts that waited, and leaves the rest to its worker', async () => {
    await save('a', { overlap: 'allow' });
    await running('a', t0 + minute, {});
    await history.saveRuns([record('a', t0 + minute)]);
    await running('a', t0 + 2 * minute, { state: 'waiting', attempt: 2 });
    await running('a', t0 + 3 * minute, {});
    await history.saveRuns([record('a', t0 + 3 * minute, { state: 'running', expireAt: null })]);
    await running('a', t0 + 4 * minute, { state: 'waiting', attempt: 2 });
    await history.saveRuns([
      record('a', t0 + 4 * minute, { id: idOf('a', t0 + 4 * minute, 2), attempt: 2, state: 'failed' }),
    ]);
    const { dropped, kept } = await settle();
    assert.deepEqual(dropped, [
      idOf('a', t0 + minute),
      idOf('a', t0 + 2 * minute, 2),
      idOf('a', t0 + 4 * minute, 2),
    ]);
    assert.deepEqual(kept, [idOf('a', t0 + 3 * minute)]);
    assert.equal((await kv.range(prefixRange(layout.running))).count, 1);
    assert.equal((await history.run(idOf('a', t0 + 2 * minute, 2)))?.state, 'cancelled');
    assert.equal((await history.run(idOf('a', t0 + 4 * minute, 2)))?.state, 'failed');
  });

  it('does nothing while somebody is at work', async () => {
    await save('a');
    await cursor('a', t0);
    const lease = await kv.grant(10_000);
    const value = JSON.stringify({
      ...{ id: 'w1', host: 'h', addresses: [], labels: {}, version: '0', state: 'live', since: t0 },
      ...{ capacity: 1, tzdata: '', switchesUser: false, clockSkewMs: 0 },
    });
    await kv.txn({ compare: [], then: [{ type: 'put', key: layout.worker('w1'), value, lease }] });
    await assert.rejects(settle(), { code: 'workers_live', message: /w1; expected none/ });
    assert.equal(await floor('a'), t0);
    await clock.advance(10_001);
    assert.equal((await settle()).jobs, 1);
  });
});
