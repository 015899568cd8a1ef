import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { mayNotStart } from '#core/decide/may-start.ts';
import { judge, nextAttempt } from '#core/decide/outcome.ts';
import { commonTzdata, fits, hashOf, placeIn, poolFor, poolKey } from '#core/decide/placement.ts';
import { Job, type JobInput } from '#core/model/job.ts';
import type { WorkerRecord } from '#core/model/worker.ts';

const job = (more: Partial<JobInput> = {}) => v.parse(Job, { name: 'job', command: 'true', ...more });
const end = { how: 'exited' as const, reason: '', exitCode: 0 };

describe('how an ending is judged', () => {
  it('succeeds with the exit codes that the job calls success', () => {
    assert.equal(judge(job(), end).state, 'succeeded');
    assert.deepEqual(judge(job(), { ...end, exitCode: 3 }), { state: 'failed', reason: 'exit status 3' });
    assert.equal(judge(job({ successCodes: [0, 3] }), { ...end, exitCode: 3 }).state, 'succeeded');
    assert.equal(judge(job({ successCodes: [3] }), end).state, 'failed');
  });
  it('is lost where the process left no exit status', () => {
    assert.equal(judge(job(), { ...end, how: 'vanished', exitCode: null }).state, 'lost');
  });
});

describe('the attempt that follows', () => {
  const ended = { state: 'failed' as const, attempt: 1, losses: 0, endedAt: 1_000 };
  it('comes after a back-off that grows to its limit', () => {
    const spec = job({ retry: { attempts: 5, backoff: '10s', factor: 3, maxDelay: '1m' } });
    const delays = [1, 2, 3, 4].map(
      (attempt) => (nextAttempt(spec, { ...ended, attempt })?.notBefore ?? 0) - 1_000,
    );
    assert.deepEqual(delays, [10_000, 30_000, 60_000, 60_000]);
  });
  it('ends when the attempts are used up, and never follows success or a kill', () => {
    const spec = job({ retry: { attempts: 1 } });
    assert.equal(nextAttempt(spec, ended)?.attempt, 2);
    assert.equal(nextAttempt(spec, { ...ended, attempt: 2 }), null);
    assert.equal(nextAttempt(spec, { ...ended, state: 'succeeded' }), null);
    assert.equal(nextAttempt(spec, { ...ended, state: 'killed' }), null);
  });
  it('follows a loss only where the guarantee asks for it, and counts losses apart', () => {
    assert.equal(nextAttempt(job(), { ...ended, state: 'lost' }), null);
    const spec = job({ guarantee: 'at-least-once', retry: { attempts: 1 } });
    assert.deepEqual(nextAttempt(spec, { ...ended, state: 'lost' }), {
      attempt: 2,
      losses: 1,
      notBefore: 11_000,
    });
    assert.equal(nextAttempt(spec, { ...ended, attempt: 2, losses: 1 })?.attempt, 3);
  });
});

describe('what may start', () => {
  const record = (more: Partial<JobInput>, until: number | null | undefined) => ({
    job: job(more),
    paused: until === undefined ? null : { by: 'me', at: 0, reason: '', until },
  });
  const table: [string, Parameters<typeof mayNotStart>, ReturnType<typeof mayNotStart>][] = [
    ['a job that is there', [record({}, undefined), 5, 'schedule'], null],
    ['nothing of a deleted job', [null, 5, 'manual'], 'deleted'],
    ['nothing of a disabled job', [record({ enabled: false }, undefined), 5, 'manual'], 'disabled'],
    ['nothing scheduled of a paused one', [record({}, null), 5, 'schedule'], 'paused'],
    ['what is asked by hand of a paused one', [record({}, null), 5, 'manual'], null],
    ['a retry only after the pause', [record({}, 6), 5, 'retry'], 'paused'],
    ['everything from the end of the pause on', [record({}, 5), 5, 'retry'], null],
  ];
  for (const [name, args, expected] of table) it(name, () => assert.equal(mayNotStart(...args), expected));
});

describe('who tries', () => {
  const worker = (id: string, more: Partial<WorkerRecord> = {}): WorkerRecord => ({
    ...{
      id,
      host: id,
      addresses: [],
      labels: {},
      version: '1',
      state: 'live',
      since: 0,
      capacity: 1,
      tzdata: '2026a',
    },
    ...{ switchesUser: false, clockSkewMs: 0, full: false },
    ...more,
  });
  const candidates = (...workers: WorkerRecord[]) =>
    workers.map((one) => ({ worker: one, draining: false, hash: hashOf(one.id) }));

  /** Everybody's place, as each of them works it out for itself. */
  const rank = (of: Job, jobHash: number, all: ReturnType<typeof candidates>, tzdata: string) => {
    const pool = poolFor(of, all, tzdata);
    const order: string[] = [];
    for (const id of pool.members.keys()) order[placeIn(pool, jobHash, id, all.length) ?? -1] = id;
    assert.equal(Object.keys(order).length, pool.members.size, 'each has a place of its own');
    return { order, runnable: pool.runnable };
  };

  it("spreads jobs over workers, and moves only a lost worker's jobs", () => {
    const all = candidates(worker('a'), worker('b'), worker('c'));
    const homes = new Map<string, number>();
    for (let i = 0; i < 3_000; i += 1) {
      const home = rank(job(), hashOf(`default/job${i}`), all, '2026a').order[0] ?? '';
      homes.set(home, (homes.get(home) ?? 0) + 1);
      const left = rank(job(), hashOf(`default/job${i}`), all.slice(0, 2), '2026a').order[0];
      if (home !== 'c') assert.equal(left, home);
    }
    for (const count of homes.values()) assert.ok(count > 800 && count < 1_200, `unfair: ${[...homes]}`);
  });
  it('leaves out who drains, is away, is off reference time, or does not fit', () => {
    const all = candidates(
      worker('away', { state: 'away' }),
      worker('skewed', { clockSkewMs: 501 }),
      worker('labelled', { labels: { disk: 'ssd' } }),
    );
    assert.deepEqual(rank(job(), 1, all, '2026a').order, ['labelled']);
    const hdd = rank(job({ target: { labels: { disk: 'hdd' } } }), 1, all, '2026a');
    assert.equal(hdd.runnable, false);
    assert.equal(hdd.order.length, 3);
  });
  it('puts who is full behind the others, and leaves nothing undone where all are', () => {
    const ids = ['a', 'b', 'c', 'd'];
    const [home = '', ...rest] = rank(job(), 7, candidates(...ids.map((id) => worker(id))), '2026a').order;
    const one = candidates(...ids.map((id) => worker(id, { full: id === home })));
    assert.deepEqual(rank(job(), 7, one, '2026a'), { order: [...rest, home], runnable: true });
    const all = candidates(...ids.map((id) => worker(id, { full: true })));
    assert.deepEqual(rank(job(), 7, all, '2026a'), { order: [home, ...rest], runnable: true });
  });
  it("gives zoned jobs to the majority's zone data, and to the newer at a tie", () => {
    const [old, young] = [worker('old'), worker('new', { tzdata: '2026b' })];
    assert.equal(commonTzdata([old, young]), '2026b');
    assert.deepEqual(rank(job({ timezone: 'Europe/Berlin' }), 1, candidates(old, young), '2026b').order, [
      'new',
    ]);
    assert.equal(rank(job(), 1, candidates(old, young), '2026b').order.length, 2);
  });
  it('tells only the first so many their place', () => {
    const pool = poolFor(job(), candidates(...Array.from('abcdefgh', (id) => worker(id))), '2026a');
    const ids = [...pool.members.keys()];
    for (let hash = 0; hash < 100; hash += 1) {
      const told = ids.map((id) => placeIn(pool, hash, id, 3)).filter((place) => place !== null);
      assert.deepEqual(told.sort(), [0, 1, 2]);
    }
    assert.equal(placeIn(pool, 1, 'stranger', 3), null);
  });
  it('has one pool for jobs that the same workers may run', () => {
    const keyOf = (more: Partial<Job>) => poolKey(job(more));
    assert.equal(keyOf({}), keyOf({ name: 'other', schedule: null }));
    const different = [
      {},
      { timezone: 'Europe/Berlin' },
      { target: { workers: ['a'], labels: {} } },
      { target: { workers: [], labels: { a: 'b' } } },
      { target: { workers: [], labels: { a: ['b'] } } },
      { timezone: 'Europe/Berlin', target: { workers: [], labels: { a: 'b' } } },
    ];
    assert.equal(new Set(different.map(keyOf)).size, different.length);
  });
  it('matches labels by one value or any of several', () => {
    const box = worker('w', { labels: { os: 'debian', zone: 'a' } });
    assert.ok(fits(job({ target: { labels: { os: ['alpine', 'debian'], zone: 'a' } } }), box));
    assert.ok(!fits(job({ target: { labels: { os: 'alpine' } } }), box));
    assert.ok(!fits(job({ target: { workers: ['other'] } }), box));
  });
});
