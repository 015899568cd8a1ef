import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { applyJobs } from '#core/cluster/apply.ts';
import { checkJob, scheduleOf } from '#core/cluster/check-job.ts';
import type { JobStore } from '#core/cluster/job-record.ts';
import {
  deleteJob,
  getJob,
  pageOfJobs,
  pauseJob,
  resumeJob,
  saveJob,
  skipInstant,
} from '#core/cluster/jobs.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { readOwed } from '#core/cluster/read-key.ts';
import { encodeJob } from '#core/cluster/records.ts';
import { decideLane } from '#core/decide/due.ts';
import type { JobInput, JobRecord } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import { type Kv, prefixRange, type Txn } from '#core/ports/kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const t0 = Date.UTC(2026, 10, 22, 16, 35);
const minute = 60_000;
const id = 'default/a';
const job = (more: Partial<JobInput> = {}) =>
  checkJob({ name: 'a', command: 'true', schedule: '* * * * *', ...more });
const refused = (code: string) => (error: unknown) => error instanceof Refusal && error.code === code;

let clock: VirtualClock;
let kv: Kv;
let store: JobStore;
const layout = layoutOf();

function anew(): void {
  clock = new VirtualClock({ now: t0 });
  kv = memoryKv({ clock });
  store = { kv, layout, now: () => clock.now() };
}
beforeEach(anew);

async function save(more: Partial<JobInput> = {}) {
  const { after } = await saveJob(store, job(more), { by: 'me', condition: {}, cronExpr: null });
  return after;
}

/** A decider has decided everything up to there. */
async function decided(instant: number): Promise<void> {
  const value = JSON.stringify({ instant, from: 'w1', why: 'run', run: null });
  await kv.txn({ compare: [], then: [{ type: 'put', key: layout.cursor(id, '~'), value }] });
}

describe('a floor never goes back', () => {
  const later: Record<string, () => Promise<unknown>> = {
    'by an edit': () => save({ schedule: '*/2 * * * *' }),
    'by enabling': async () => {
      await save({ enabled: false });
      await save();
    },
    'by a pause and its end': async () => {
      await pauseJob(store, id, { by: 'me', reason: '', until: null });
      await resumeJob(store, id);
    },
  };
  for (const [how, act] of Object.entries(later))
    it(how, async () => {
      await save({ mode: 'all' });
      // By a worker whose clock is ahead.
      await decided(t0 + 6 * minute);
      await save();
      const floor = (await getJob(store, id))?.record.floor ?? 0;
      assert.equal(floor, t0 + 6 * minute);
      await act();
      assert.ok(((await getJob(store, id))?.record.floor ?? 0) >= floor);
    });
});

describe('what a save does to the floor', () => {
  const rows: [string, Partial<JobInput>, Partial<JobInput>, boolean][] = [
    ['another command leaves it', {}, { command: 'false' }, false],
    ['another policy leaves it', {}, { overlap: 'allow', timeout: '5m', catchUp: 'all' }, false],
    ['another description leaves it', {}, { description: 'x' }, false],
    ['disabling leaves it', {}, { enabled: false }, false],
    ['another schedule moves it', {}, { schedule: '*/2 * * * *' }, true],
    ['another zone moves it', {}, { timezone: 'Europe/Berlin' }, true],
    ['another rule for clock changes moves it', {}, { dst: 'both' }, true],
    ['another exception moves it', {}, { except: ['2026-12-24'] }, true],
    ['another first day moves it', {}, { startAt: '2026-01-01' }, true],
    ['another last day moves it', {}, { endAt: '2027-01-01' }, true],
    ['another mode moves it', {}, { mode: 'all' }, true],
    ['enabling moves it', { enabled: false }, { enabled: true }, true],
  ];
  for (const [name, before, after, moves] of rows)
    it(name, async () => {
      const made = await save(before);
      assert.equal(made.floor, t0);
      await clock.advance(5 * minute);
      const edited = await save({ ...before, ...after });
      assert.equal(edited.floor, moves ? t0 + 5 * minute : t0);
    });

  it('never touches a cursor, nor does a delete: an instant that ran can not be due again', async () => {
    await save();
    await decided(t0 + minute);
    const cursor = async () => (await kv.range({ key: layout.cursor(id, '~') })).entries[0];
    const before = await cursor();
    await save({ schedule: '*/2 * * * *' });
    await deleteJob(store, id, {});
    await save();
    assert.deepEqual(await cursor(), before);
  });

  it('is refused by an API whose clock is off, and only where a floor would be set', async () => {
    const trusting = store;
    await save();
    store = {
      ...store,
      trustClock() {
        throw new Refusal('clock_skewed', 'off');
      },
    };
    await assert.rejects(save({ schedule: '*/2 * * * *' }), refused('clock_skewed'));
    assert.equal((await save({ command: 'false' })).job.command, 'false');
    await pauseJob(store, id, { by: 'me', reason: '', until: null });
    await assert.rejects(resumeJob(store, id), refused('clock_skewed'));
    await resumeJob(trusting, id);
    await deleteJob(store, id, {});
    await assert.rejects(save(), refused('clock_skewed'));
  });
});

/** What is owed to History, in the order of its instants. */
async function owed(of = id): Promise<Run[]> {
  const { entries } = await kv.range(prefixRange(layout.owing(of.replace('/', '~'))));
  return entries.flatMap((entry) => {
    const read = readOwed(layout, entry);
    return read.ok ? [read.run] : [];
  });
}

/** From which minute on to which, how many, and why. */
const told = (runs: readonly Run[]) =>
  runs.map(({ instant, until, count, state, reason, worker }) => {
    const after = (at: number | null) => ((at ?? 0) - t0) / minute;
    const lane = worker === null ? '' : ` on ${worker}`;
    return `${after(instant)}-${after(until ?? instant)} ${count} ${state}: ${reason}${lane}`;
  });

async function registered(worker: string, since: number, labels = {}): Promise<void> {
  const value = {
    ...{ id: worker, host: worker, addresses: [], labels, version: '0', state: 'live', since, capacity: 1 },
    ...{ tzdata: '', switchesUser: false, clockSkewMs: 0 },
  };
  const put = { type: 'put' as const, key: layout.worker(worker), value: JSON.stringify(value) };
  await kv.txn({ compare: [], then: [put] });
}

/** What a decider does next in a lane of this job. */
const verdictOn = (record: JobRecord, cursor: number | null) =>
  decideLane({ record, schedule: scheduleOf(record.job), cursor, now: clock.now(), held: null });
const waits = (minutes: number) => ({
  do: 'wait',
  at: t0 + minutes * minute,
  instant: t0 + minutes * minute,
});

describe('what is due and undecided', () => {
  const ends: [string, () => Promise<unknown>, string[]][] = [
    ['an edit', () => save({ schedule: '*/2 * * * *' }), ['3-5 3 skipped: edited']],
    ['an edit to no schedule', () => save({ schedule: null }), ['3-5 3 skipped: edited']],
    ['to disable it', () => save({ enabled: false }), ['3-5 3 skipped: disabled']],
    ['an edit that disables it', () => save({ schedule: null, enabled: false }), ['3-5 3 skipped: disabled']],
    ['another mode', () => save({ mode: 'all' }), ['3-5 3 skipped: edited']],
    ['to delete it', () => deleteJob(store, id, {}), ['3-5 3 skipped: deleted']],
    ['another command', () => save({ command: 'false' }), []],
    ['a pause', () => pauseJob(store, id, { by: 'me', reason: '', until: null }), []],
  ];
  for (const [name, end, expected] of ends)
    it(`has its record by its own schedule: ${name}`, async () => {
      await save();
      await decided(t0 + 2 * minute);
      await clock.advance(5.5 * minute);
      await end();
      assert.deepEqual(told(await owed()), expected);
    });

  it('is nothing where all is decided, and then nobody is compared with', async () => {
    await save();
    await decided(t0 + 5 * minute);
    await clock.advance(5.5 * minute);
    const made = await save({ schedule: '*/2 * * * *' });
    assert.deepEqual([made.floorWhy, await owed()], ['created', []]);
  });

  it('is settled once, whatever is done to the job then', async () => {
    await save();
    await clock.advance(2.5 * minute);
    await save({ enabled: false });
    await clock.advance(2 * minute);
    await save({ schedule: '*/2 * * * *' });
    await clock.advance(3 * minute);
    await pauseJob(store, id, { by: 'me', reason: '', until: null });
    await clock.advance(1 * minute);
    await deleteJob(store, id, {});
    assert.deepEqual(told(await owed()), [
      '1-2 2 skipped: disabled',
      '3-4 2 skipped: disabled',
      '5-7 2 skipped: paused',
    ]);
  });

  it('is called paused while it was paused, and left out where somebody had said so', async () => {
    await save();
    await skipInstant(store, id, t0 + 4 * minute);
    await pauseJob(store, id, { by: 'me', reason: '', until: t0 + 2 * minute + 1 });
    await clock.advance(6.5 * minute);
    await save({ schedule: '*/2 * * * *' });
    assert.deepEqual(told(await owed()), [
      '1-2 2 skipped: paused',
      '3-3 1 skipped: edited',
      '4-4 1 skipped: left out by hand',
      '5-6 2 skipped: edited',
    ]);
    await clock.advance(2 * minute);
    await pauseJob(store, id, { by: 'me', reason: '', until: null });
    await clock.advance(2 * minute);
    await deleteJob(store, id, {});
    assert.deepEqual(told(await owed()).at(-1), '7-9 2 skipped: paused');
  });

  it('is what an earlier version of cronfleet has left below a floor, too', async () => {
    await save();
    const { settled: _, ...record } = (await getJob(store, id))?.record ?? assert.fail();
    const old = { ...record, floor: t0 + 2.5 * minute, floorWhy: 'paused' as const };
    const put = { type: 'put' as const, key: layout.job(id), value: encodeJob(old) };
    await kv.txn({ compare: [], then: [put] });
    await clock.advance(4.5 * minute);
    await save({ schedule: '*/2 * * * *' });
    assert.deepEqual(told(await owed()), ['1-2 2 skipped: paused', '3-4 2 skipped: edited']);
  });

  it('is settled in the transaction of the save: who claims it meanwhile is not told that it was skipped', async () => {
    await save();
    await clock.advance(2.5 * minute);
    let txns = 0;
    const txn = async (asked: Txn) => {
      if (asked.then.some(({ type }) => type === 'put') && ++txns === 1) await decided(t0 + 2 * minute);
      return kv.txn(asked);
    };
    store = { ...store, kv: { ...kv, txn, range: kv.range.bind(kv) } as Kv };
    await save({ schedule: '*/2 * * * *' });
    assert.deepEqual([txns, await owed()], [2, []]);
  });

  it('is handed on when the save is done', async () => {
    const handed: string[] = [];
    store = { ...store, owes: async (runs) => void handed.push(...told(runs)) };
    await save();
    await clock.advance(2.5 * minute);
    await save({ enabled: false });
    assert.deepEqual(handed, ['1-2 2 skipped: disabled']);
  });

  it('waits for a clock that can be trusted where a pause is said to be over', async () => {
    const trusting = store;
    await save();
    await pauseJob(store, id, { by: 'me', reason: '', until: t0 + 30 * minute });
    await clock.advance(2 * minute);
    const before = await getJob(store, id);
    store = {
      ...store,
      now: () => clock.now() + 60 * minute,
      trustClock() {
        throw new Refusal('clock_skewed', 'off');
      },
    };
    await assert.rejects(resumeJob(store, id), refused('clock_skewed'));
    await assert.rejects(pauseJob(store, id, { by: 'me', reason: '', until: null }), refused('clock_skewed'));
    store = trusting;
    assert.deepEqual([await getJob(store, id), await owed()], [before, []]);
  });

  it('waits at a disabled job for a clock that can be trusted, and refuses a delete that has none', async () => {
    const trusting = store;
    await save();
    await clock.advance(2.5 * minute);
    store = {
      ...store,
      trustClock() {
        throw new Refusal('clock_skewed', 'off');
      },
    };
    await assert.rejects(deleteJob(store, id, {}), refused('clock_skewed'));
    await save({ enabled: false });
    assert.deepEqual(await owed(), []);
    store = trusting;
    await save({ enabled: true });
    assert.deepEqual(told(await owed()), ['1-2 2 skipped: disabled']);
  });

  it('of a deleted job is due no more where it is made anew by a clock that is a little behind', async () => {
    await save();
    await clock.advance(2.5 * minute);
    await deleteJob(store, id, {});
    store = { ...store, now: () => t0 + 1.9 * minute };
    await save();
    const [entry] = (await kv.range({ key: layout.cursor(id, '~') })).entries;
    assert.equal(JSON.parse(entry?.value ?? '{}').instant, t0 + 2 * minute);
  });

  const earlier: [string, () => Promise<unknown>][] = [
    ['an edit', () => save({ description: 'x', schedule: ['* * * * *'], timezone: 'Europe/Berlin' })],
    ['to disable it', () => save({ enabled: false })],
    [
      'a resume',
      async () => {
        await pauseJob(store, id, { by: 'me', reason: '', until: null });
        await resumeJob(store, id);
      },
    ],
  ];
  for (const [name, end] of earlier)
    it(`nor is what an earlier save had settled, before the delete: ${name}`, async () => {
      await save();
      await decided(t0);
      await clock.advance(minute + 100);
      await end();
      assert.equal((await owed()).length, 1);
      await clock.advance(50);
      await deleteJob(store, id, {});
      store = { ...store, now: () => t0 + minute - 200 };
      const record = await save();
      const [entry] = (await kv.range({ key: layout.cursor(id, '~') })).entries;
      const cursor: number = JSON.parse(entry?.value ?? '{}').instant;
      const schedule = scheduleOf(record.job);
      const verdict = decideLane({ record, schedule, cursor, now: t0 + minute + 300, held: null });
      assert.deepEqual(verdict, { do: 'wait', at: t0 + 2 * minute, instant: t0 + 2 * minute });
    });

  it('and was never settled leaves no cursor behind a job that is deleted', async () => {
    await save();
    await clock.advance(minute / 2);
    await deleteJob(store, id, {});
    assert.equal((await kv.range({ key: layout.cursor(id, '~') })).count, 0);
  });

  it('stays where a cursor can not be read: what it told is not known', async () => {
    await save();
    const put = { type: 'put' as const, key: layout.cursor(id, '~'), value: 'x' };
    await kv.txn({ compare: [], then: [put] });
    await clock.advance(2.5 * minute);
    const made = await save({ schedule: '*/2 * * * *' });
    assert.deepEqual([made.floorWhy, made.settled, await owed()], ['edited', t0, []]);
  });

  it('of a job whose schedule nobody can read keeps nobody from putting that right', async () => {
    const record = await save();
    const broken = { ...record, job: { ...record.job, schedule: 'not one' } };
    const put = { type: 'put' as const, key: layout.job(id), value: encodeJob(broken) };
    await kv.txn({ compare: [], then: [put] });
    await clock.advance(2.5 * minute);
    assert.equal((await save()).floorWhy, 'edited');
    await deleteJob(store, id, {});
  });
});

describe('what is due and undecided in mode all', () => {
  async function lane(worker: string, instant: number): Promise<void> {
    const value = JSON.stringify({ instant, from: worker, why: 'run', run: null });
    await kv.txn({ compare: [], then: [{ type: 'put', key: layout.cursor(id, worker), value }] });
  }

  it('has a record in the lane of each worker that fits, also of one that is gone for the moment', async () => {
    await save({ mode: 'all', target: { labels: { zone: 'a' } } });
    await registered('w1', t0, { zone: 'a' });
    await lane('w1', t0 + 1 * minute);
    await registered('w2', t0 + 2.5 * minute, { zone: 'a' });
    await registered('w3', t0, { zone: 'b' });
    await lane('w4', t0 + 3 * minute);
    await lane('w5', t0 - 1_500 * minute);
    await clock.advance(4.5 * minute);
    const target = { labels: { zone: 'a' } };
    const made = await save({ mode: 'all', schedule: '*/2 * * * *', target });
    assert.deepEqual(told(await owed()).sort(), [
      '2-4 3 skipped: edited on w1',
      '3-4 2 skipped: edited on w2',
      '4-4 1 skipped: edited on w4',
    ]);
    assert.deepEqual([made.floorWhy, made.settled], ['created', made.floor]);
    await clock.advance(2 * minute);
    await deleteJob(store, id, {});
    assert.deepEqual(
      told(await owed())
        .sort()
        .slice(3),
      ['5-5 1 skipped: deleted on w1', '5-5 1 skipped: deleted on w2', '5-5 1 skipped: deleted on w4'],
    );
  });

  it('has its record where a new target leaves a lane out, which goes on from there should it come back', async () => {
    await save({ mode: 'all', target: { workers: ['w1', 'w2'] } });
    for (const worker of ['w1', 'w2']) await registered(worker, t0);
    await lane('w1', t0 + minute);
    await clock.advance(3.5 * minute);
    const made = await save({ mode: 'all', target: { workers: ['w2'] } });
    assert.deepEqual(
      [made.floor, made.settled, told(await owed())],
      [t0, t0, ['2-3 2 skipped: edited on w1']],
    );
    const [entry] = (await kv.range({ key: layout.cursor(id, 'w1') })).entries;
    assert.equal(JSON.parse(entry?.value ?? '{}').instant, t0 + 3 * minute);
  });

  it('is said once where a job is enabled and changed in one save: by the version that it was due by', async () => {
    await save({ mode: 'all', schedule: '0 0 1 1 *', enabled: false });
    await registered('w1', t0);
    await clock.advance(60.5 * minute);
    const record = await save({ mode: 'all' });
    assert.deepEqual([await owed(), verdictOn(record, null)], [[], waits(61)]);
  });

  it('is said once where a job of mode one is enabled with mode all', async () => {
    await save({ enabled: false });
    await registered('w1', t0);
    await clock.advance(60.5 * minute);
    const record = await save({ mode: 'all' });
    assert.deepEqual(told(await owed()), ['1-60 60 skipped: disabled']);
    assert.deepEqual(verdictOn(record, null), waits(61));
  });

  /** A job whose every lane has something undecided, more than one transaction settles. */
  async function manyLanes(of: number): Promise<void> {
    await save({ mode: 'all' });
    for (let n = 0; n < of; n += 1) await registered(`w${n}`, t0);
    await clock.advance(2.5 * minute);
  }
  const deletes: [string, () => Promise<unknown>][] = [
    ['a delete', () => deleteJob(store, id, {})],
    ['a prune', () => applyJobs(store, [], { by: 'me', dryRun: false, prune: 'default' })],
  ];
  for (const [what, act] of deletes)
    it(`has a record in every lane, of however many: ${what}`, async () => {
      for (const lanes of [51, 120]) {
        anew();
        await manyLanes(lanes);
        const handed: Run[] = [];
        store = { ...store, owes: async (runs) => void handed.push(...runs) };
        await act();
        assert.deepEqual([await getJob(store, id), handed.length], [null, lanes]);
        assert.equal(new Set(handed.map(({ worker }) => worker)).size, lanes);
      }
    });

  it('is told of every job that a prune took away, however many rounds that took', async () => {
    await manyLanes(120);
    const other = checkJob({ name: 'aa', command: 'x' });
    await saveJob(store, other, { by: 'me', condition: {}, cronExpr: null });
    const pruned = await applyJobs(store, [], { by: 'me', dryRun: false, prune: 'default' });
    assert.deepEqual(pruned.map(({ id: of, action }) => `${of} ${action}`).sort(), [
      `${id} delete`,
      'default/aa delete',
    ]);
  });

  it('is settled before a delete that is of many lanes, and not in one that is decided meanwhile', async () => {
    await manyLanes(60);
    // Lanes go by their names: this one is not among the first fifty.
    const later = 'w9';
    let txns = 0;
    const txn = async (asked: Txn) => {
      if (asked.then.some(({ type }) => type !== 'range') && ++txns === 2) await lane(later, t0 + 2 * minute);
      return kv.txn(asked);
    };
    const meddling = { ...store, kv: { ...kv, txn, range: kv.range.bind(kv) } as Kv };
    await deleteJob(meddling, id, {});
    const lanes = (await owed()).map(({ worker }) => worker);
    assert.deepEqual([txns, await getJob(store, id), lanes.length], [3, null, 59]);
    assert.ok(!lanes.includes(later));
  });

  it('is left to the deciders where that is of more lanes than one transaction holds', async () => {
    await save({ mode: 'all' });
    for (let n = 0; n <= 100; n += 1) {
      await registered(`w${n}`, t0);
      await lane(`w${n}`, t0 + minute);
    }
    await clock.advance(2.5 * minute);
    const made = await save({ mode: 'all', schedule: '*/2 * * * *' });
    assert.deepEqual([made.floorWhy, made.settled, (await owed()).length], ['edited', t0, 0]);
    for (let n = 0; n < 30; n += 1) await lane(`w${n}`, t0 + 3 * minute);
    await clock.advance(2 * minute);
    await save({ mode: 'all', schedule: '* * * * *' });
    assert.equal((await owed()).length, 71);
  });
});

describe('a revision', () => {
  it('grows by saves alone, through delete and create, too', async () => {
    const seen = [(await save()).revision];
    await pauseJob(store, id, { by: 'me', reason: '', until: null });
    await skipInstant(store, id, t0 + minute);
    await resumeJob(store, id);
    assert.equal((await getJob(store, id))?.record.revision, seen[0]);
    seen.push((await save()).revision);
    await deleteJob(store, id, {});
    seen.push((await save()).revision);
    const numbers = seen.map(Number);
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].sort((a, b) => a - b),
    );
  });

  it('is what a condition is judged by', async () => {
    const { revision } = await save();
    const how = (condition: object) => ({ by: 'me', condition, cronExpr: null });
    await assert.rejects(saveJob(store, job(), how({ match: ['0'] })), refused('revision_conflict'));
    await assert.rejects(saveJob(store, job(), how({ absent: true })), refused('job_exists'));
    await saveJob(store, job(), how({ match: ['0', revision] }));
    await saveJob(store, job(), how({ match: '*' }));
    await assert.rejects(
      saveJob(store, job({ name: 'b' }), how({ match: '*' })),
      refused('revision_conflict'),
    );
    await assert.rejects(deleteJob(store, id, { match: [revision] }), refused('revision_conflict'));
    await assert.rejects(
      pauseJob(store, id, { by: 'me', reason: '', until: null }, { match: [revision] }),
      refused('revision_conflict'),
    );
  });
});

describe('a pause', () => {
  it('becomes the floor when it is lifted', async () => {
    await save();
    await pauseJob(store, id, { by: 'me', reason: 'x', until: null });
    await clock.advance(5 * minute);
    const { after } = await resumeJob(store, id);
    assert.deepEqual([after.paused, after.floor, after.floorWhy], [null, t0 + 5 * minute, 'paused']);
  });

  it('that has run out stays a floor at its end, whether it is resumed or paused again', async () => {
    const until = t0 + 2 * minute + 1;
    for (const next of ['resume', 'pause'] as const) {
      await save({ description: next });
      await pauseJob(store, id, { by: 'me', reason: '', until: clock.now() + 2 * minute + 1 });
      await clock.advance(5 * minute);
      const { after } =
        next === 'resume'
          ? await resumeJob(store, id)
          : await pauseJob(store, id, { by: 'me', reason: '', until: null });
      assert.deepEqual(
        [after.floor, after.floorWhy],
        [next === 'resume' ? until - 1 : until + 5 * minute - 1, 'paused'],
      );
    }
  });

  it('that is not there leaves a resume without a write, so that no claim is refused for it', async () => {
    await save();
    const before = (await getJob(store, id))?.mod;
    await resumeJob(store, id);
    assert.equal((await getJob(store, id))?.mod, before);
  });

  it('may not end in the past', async () => {
    await save();
    const pause = { by: 'me', reason: '', until: t0 - 1 };
    await assert.rejects(pauseJob(store, id, pause), refused('until_invalid'));
  });
});

describe('an instant that is left out', () => {
  it('is one of the schedule, still to come, and one of at most eight', async () => {
    await save();
    await assert.rejects(skipInstant(store, id, t0), refused('instant_past'));
    await assert.rejects(skipInstant(store, id, t0 + 1), refused('instant_unknown'));
    for (let i = 1; i <= 8; i += 1) await skipInstant(store, id, t0 + i * minute);
    await skipInstant(store, id, t0 + minute);
    await assert.rejects(skipInstant(store, id, t0 + 9 * minute), refused('skips_full'));
  });

  it('is forgotten by an edit of what decides the instants', async () => {
    await save();
    await skipInstant(store, id, t0 + minute);
    assert.deepEqual((await save({ command: 'false' })).skips, [t0 + minute]);
    assert.deepEqual((await save({ schedule: '*/2 * * * *' })).skips, []);
  });
});

describe('two who change one job at once', () => {
  it('both change it, one after the other', async () => {
    await save();
    await Promise.all([
      pauseJob(store, id, { by: 'me', reason: 'x', until: null }),
      save({ command: 'false' }),
      skipInstant(store, id, t0 + minute),
    ]);
    const record = (await getJob(store, id))?.record;
    assert.deepEqual(
      [record?.paused?.reason, record?.job.command, record?.skips],
      ['x', 'false', [t0 + minute]],
    );
  });
});

describe('applying jobs', () => {
  const many = (count: number, more: Partial<JobInput> = {}) =>
    Array.from({ length: count }, (_, i) =>
      checkJob({ group: 'g', name: `j${i}`, command: 'true', ...more }),
    );
  const how = { by: 'me', dryRun: false, prune: null };
  const actions = (applied: { action: string }[]) => [...new Set(applied.map(({ action }) => action))];

  /** Lets somebody else write a job just before the nth transaction that puts something. */
  function meddled(nth: number): JobStore {
    let puts = 0;
    const txn = async (asked: Txn) => {
      const writes = asked.then.some(({ type }) => type === 'put');
      if (writes) puts += 1;
      if (writes && puts === nth)
        await saveJob(store, checkJob({ group: 'h', name: 'other', command: 'x' }), {
          ...{ by: 'you', condition: {}, cronExpr: null },
        });
      return kv.txn(asked);
    };
    return { ...store, kv: { ...kv, txn, range: kv.range.bind(kv) } as Kv };
  }

  it('makes them, and leaves them when they are as they should be', async () => {
    assert.deepEqual(actions(await applyJobs(store, many(250), how)), ['create']);
    const { revision } = await kv.range({ key: layout.jobs }, { countOnly: true });
    assert.deepEqual(actions(await applyJobs(store, many(250), how)), ['unchanged']);
    assert.equal((await kv.range({ key: layout.jobs }, { countOnly: true })).revision, revision);
    assert.deepEqual(actions(await applyJobs(store, many(250, { command: 'x' }), how)), ['update']);
  });

  it('of up to a hundred changes writes all or none', async () => {
    await applyJobs(store, many(50), how);
    const failing: Kv = {
      ...store.kv,
      range: kv.range.bind(kv),
      txn: async (asked: Txn) => {
        if (asked.then.some(({ type }) => type === 'put')) throw new Error('the disk');
        return kv.txn(asked);
      },
    } as Kv;
    await assert.rejects(applyJobs({ ...store, kv: failing }, many(100), how), /the disk/);
    assert.equal((await pageOfJobs(store, { after: null, limit: 500 })).jobs.length, 50);
  });

  it('plans anew when somebody else has written meanwhile, and still tells what it did', async () => {
    for (const nth of [1, 2]) {
      const jobs = many(150, { description: String(nth) });
      const applied = await applyJobs(meddled(nth), jobs, how);
      assert.deepEqual(actions(applied), [nth === 1 ? 'create' : 'update']);
      assert.equal((await pageOfJobs(store, { group: 'g', after: null, limit: 500 })).jobs.length, 150);
    }
  });

  it('takes away what the group has besides, and nothing of another group', async () => {
    await applyJobs(store, [...many(3), checkJob({ group: 'gg', name: 'x', command: 'x' })], how);
    const pruned = await applyJobs(store, many(1), { ...how, prune: 'g' });
    assert.deepEqual(
      pruned.map(({ id: of, action }) => `${of} ${action}`),
      ['g/j0 unchanged', 'g/j1 delete', 'g/j2 delete'],
    );
    const left = await pageOfJobs(store, { after: null, limit: 10 });
    assert.deepEqual(
      left.jobs.map(({ record }) => `${record.job.group}/${record.job.name}`),
      ['g/j0', 'gg/x'],
    );
  });

  it('takes away, in the transaction that makes others, those that are named, and of them no more than are there', async () => {
    await applyJobs(store, many(3), how);
    const names = many(3).map(({ group, name }) => `${group}/${name}`);
    const [, second = '', third = ''] = names;
    const changed = many(1, { command: 'other' });
    const [before, applied] = [
      await store.kv.range({ key: layout.jobs }, { countOnly: true }),
      await applyJobs(store, changed, { ...how, gone: [second, third, 'g/never-was'] }),
    ];
    assert.deepEqual(
      applied.map(({ id: of, action }) => `${of} ${action}`),
      [`${names[0]} update`, `${second} delete`, `${third} delete`],
    );
    const after = await store.kv.range({ key: layout.jobs }, { countOnly: true });
    assert.equal(BigInt(after.revision) - BigInt(before.revision), 1n, 'one transaction');
    const kept = await applyJobs(store, many(1), { ...how, dryRun: true, gone: [second] });
    assert.deepEqual(
      kept.map(({ action }) => action),
      ['update'],
    );
    await assert.rejects(applyJobs(store, many(1), { ...how, gone: [names[0] ?? ''] }), refused('job_twice'));
  });

  it('changes nothing where one that would change is not as it was seen, be that by others and not by itself', async () => {
    await applyJobs(store, many(2), how);
    const at = async (name: string) => (await getJob(store, `g/${name}`))?.record.revision ?? null;
    const [first, second] = [await at('j0'), await at('j1')];
    const asked = {
      ...how,
      gone: ['g/j1'],
      seen: new Map([
        ['g/j0', first],
        ['g/j1', second],
        ['g/j2', null],
      ]),
    };
    await applyJobs(store, [checkJob({ group: 'g', name: 'j1', command: 'mine' })], how);
    for (const dryRun of [true, false])
      await assert.rejects(
        applyJobs(store, many(1, { command: 'other' }), { ...asked, dryRun }),
        refused('revision_conflict'),
      );
    const kept = await pageOfJobs(store, { group: 'g', after: null, limit: 10 });
    assert.deepEqual(
      kept.jobs.map(({ record }) => record.job.command),
      ['true', 'mine'],
    );
    // One that is as it should be may have been saved by anybody.
    const unchanged = await applyJobs(store, many(1), { ...how, seen: new Map([['g/j0', 'of before']]) });
    assert.deepEqual(actions(unchanged), ['unchanged']);
    const all = many(150, { description: 'x' });
    const seen = new Map(all.map(({ name }) => [`g/${name}`, null as string | null]));
    seen.set('g/j0', first).set('g/j1', await at('j1'));
    assert.equal((await applyJobs(meddled(2), all, { ...how, seen })).length, 150);
  });

  it('settles what is due of a hundred in one transaction, by who is deleted and by who is changed', async () => {
    const all = { ...how, prune: 'g' };
    await applyJobs(store, many(100, { schedule: '* * * * *' }), all);
    for (let n = 0; n < 100; n += 1)
      for (const minutes of [2, 4, 6]) await skipInstant(store, `g/j${n}`, t0 + minutes * minute);
    await clock.advance(7.5 * minute);
    let writes = 0;
    const handed: Run[] = [];
    const txn = (asked: Txn) => {
      if (asked.then.some(({ type }) => type !== 'range')) writes += 1;
      return kv.txn(asked);
    };
    const counting = { ...kv, txn, range: kv.range.bind(kv) } as Kv;
    const owes = async (runs: readonly Run[]) => void handed.push(...runs);
    await applyJobs({ ...store, kv: counting, owes }, many(50, { schedule: '*/5 * * * *' }), all);
    assert.equal(writes, 1);
    const each = (reason: string) =>
      [1, 2, 3, 4, 5, 6, 7].map((n) => `${n}-${n} 1 skipped: ${n % 2 === 0 ? 'left out by hand' : reason}`);
    assert.deepEqual(
      [told(await owed('g/j7~')), told(await owed('g/j77~'))],
      [each('edited'), each('deleted')],
    );
    assert.equal(handed.length, 700);
  });

  it('plans anew where somebody has decided meanwhile what it was about to settle', async () => {
    await applyJobs(store, many(3, { schedule: '* * * * *' }), how);
    await clock.advance(1.5 * minute);
    let first = true;
    const txn = async (asked: Txn) => {
      if (first && asked.then.some(({ type }) => type !== 'range')) {
        first = false;
        const value = JSON.stringify({ instant: t0 + minute, from: 'w1', why: 'run', run: null });
        await kv.txn({ compare: [], then: [{ type: 'put', key: layout.cursor('g/j1', '~'), value }] });
      }
      return kv.txn(asked);
    };
    const meddling = { ...store, kv: { ...kv, txn, range: kv.range.bind(kv) } as Kv };
    assert.deepEqual(actions(await applyJobs(meddling, many(3, { schedule: '*/2 * * * *' }), how)), [
      'update',
    ]);
    assert.deepEqual(
      await Promise.all(['g/j0', 'g/j1', 'g/j2'].map(async (of) => (await owed(of)).length)),
      [1, 0, 1],
    );
  });

  it('refuses a job that is named twice', async () => {
    await assert.rejects(applyJobs(store, [...many(1), ...many(1)], how), refused('job_twice'));
  });
});

describe('what is wrong with a job', () => {
  const mistakes = (input: unknown): string[] => {
    try {
      checkJob(input);
      return [];
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return error.errors.map(({ path }) => path).sort();
    }
  };
  const rows: [string, unknown, string[]][] = [
    ['nothing', { name: 'a', command: 'x' }, []],
    [
      'every field at once',
      { name: '-', schedule: '* * *', timeout: 'soon' },
      ['command', 'name', 'schedule', 'timeout'],
    ],
    [
      'every unknown field',
      { name: 'a', command: 'x', colour: 1, size: 2, retry: { times: 3 } },
      ['colour', 'retry.times', 'size'],
    ],
    ['command and argv', { name: 'a', command: 'x', argv: ['x'] }, ['command']],
    [
      'a zone that is none, beside another mistake',
      { name: 'a', timezone: 'Mars/One', schedule: '* * * * *' },
      ['command', 'timezone'],
    ],
    [
      'each expression by its place',
      { name: 'a', command: 'x', schedule: ['* * * * *', 'x', '61 * * * *'] },
      ['schedule.1', 'schedule.2'],
    ],
    ['a date that never comes', { name: 'a', command: 'x', schedule: '0 0 30 2 *' }, ['schedule']],
    ['an empty schedule', { name: 'a', command: 'x', schedule: '' }, ['schedule']],
    ['a timeout of nothing', { name: 'a', command: 'x', timeout: '0s' }, ['timeout']],
    ['a kill that waits for hours', { name: 'a', command: 'x', killGrace: '2h' }, ['killGrace']],
    ['a time beyond all calendars', { name: 'a', command: 'x', retention: '99999999w' }, ['retention']],
    [
      'a variable whose name would be dropped in silence',
      { name: 'a', command: 'x', env: { constructor: 'x' } },
      ['env.constructor'],
    ],
    ['what no command line can carry', { name: 'a', command: 'x\0y' }, ['command']],
    ['no object at all', 7, ['job']],
  ];
  for (const [name, input, expected] of rows)
    it(`is told: ${name}`, () => assert.deepEqual(mistakes(input), [...expected].sort()));

  it('is not repeated by the megabyte', () => {
    const jobs = { name: 'a', command: 'x', description: 'y'.repeat(1_000_000) };
    assert.throws(
      () => checkJob(jobs),
      (error: Refusal) => JSON.stringify({ ...error, message: error.message }).length < 2_000,
    );
  });
});
