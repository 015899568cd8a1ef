import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { applyJobs } from '#core/cluster/apply.ts';
import { checkJob } from '#core/cluster/check-job.ts';
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
import type { JobInput } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Kv, Txn } from '#core/ports/kv.ts';
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

beforeEach(() => {
  clock = new VirtualClock({ now: t0 });
  kv = memoryKv({ clock });
  store = { kv, layout, now: () => clock.now() };
});

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

  it('says edited where an instant is left that nobody has decided, and nothing where none is', async () => {
    await save();
    await clock.advance(5 * minute);
    assert.equal((await save({ schedule: '*/2 * * * *' })).floorWhy, 'edited');
    await decided(t0 + 5 * minute);
    assert.equal((await save({ schedule: '*/3 * * * *' })).floorWhy, 'created');
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
