import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addInstants } from '#core/decide/forecast.ts';
import { explain, type WhyFacts } from '#core/decide/why.ts';
import type { JobRecord } from '#core/model/job.ts';
import { blankRun, isTerminal, type Run } from '#core/model/run.ts';
import { parseSchedule } from '#core/schedule/parse.ts';

const t = Date.UTC(2026, 10, 22, 16, 35);
const minute = 60_000;
const everyMinute = parseSchedule('* * * * *');

const record = (more: Partial<Omit<JobRecord, 'job'>> = {}, job: object = {}): JobRecord => ({
  job: {
    group: 'default',
    name: 'a',
    enabled: true,
    mode: 'one',
    overlap: 'skip',
    catchUp: 'last',
    ...job,
  } as JobRecord['job'],
  ...{ revision: '1', floor: t - 60 * minute, floorWhy: 'created', paused: null, skips: [], cronExpr: null },
  ...{ createdAt: t - 60 * minute, updatedAt: t - 60 * minute, updatedBy: 'me' },
  ...more,
});
const run = (more: Partial<Run>): Run =>
  blankRun({
    id: 'default~a~20261122T163500.000Z~1',
    group: 'default',
    name: 'a',
    state: 'succeeded',
    instant: t,
    ...more,
  });
const paused = { by: 'ann', at: t - minute, reason: 'disk swap', until: null };
const w1 = { id: 'w1', not: null };

/** Each state that an instant can be in, and what is said of it. */
const rows: [string, Partial<WhyFacts>, string, RegExp][] = [
  [
    'ran',
    { runs: [run({ worker: 'w1', startedAt: t + 3 })] },
    'succeeded',
    /ran on w1 and succeeded, started 3 ms after/,
  ],
  [
    'failed',
    { runs: [run({ state: 'failed', worker: 'w1', startedAt: t, reason: 'exit status 3' })] },
    'failed',
    /failed: exit status 3/,
  ],
  [
    'ran a little late, of which nothing is said',
    { runs: [run({ worker: 'w1', claimedAt: t + 1_500, startedAt: t + 1_999 })] },
    'succeeded',
    /started 1999 ms after the instant\.$/,
  ],
  [
    'was claimed late, and nothing shows why',
    { runs: [run({ worker: 'w1', claimedAt: t + 4_000, startedAt: t + 4_100 })] },
    'succeeded',
    /started 4100 ms after the instant\. It started late: w1 claimed it only 4000 ms after the instant, and no record says what kept everybody from it\.$/,
  ],
  [
    'was claimed late, while what was before it can not be read',
    { historyAway: true, runs: [run({ worker: 'w1', claimedAt: t + 4_000, startedAt: t + 4_100 })] },
    'succeeded',
    /w1 claimed it only 4000 ms after the instant\.$/,
  ],
  [
    'was claimed in time and started late',
    { runs: [run({ worker: 'w1', claimedAt: t - 200, startedAt: t + 5_000 })] },
    'succeeded',
    /It started late: w1, which had claimed it 2026-11-22T16:34:59.800Z, took 5000 ms to start it\.$/,
  ],
  [
    'waited in a queue behind the run before it, and stands for what waited there with it',
    {
      record: record({}, { overlap: 'queue' }),
      runs: [run({ worker: 'w1', claimedAt: t + 30_000, startedAt: t + 30_010 })],
      around: [
        run({ worker: 'w1', claimedAt: t + 30_000, startedAt: t + 30_010 }),
        run({
          ...{ id: 'default~a~20261122T163300.000Z~1', instant: t - 2 * minute, until: t - minute, count: 2 },
          ...{ state: 'missed', reason: 'covered by the run of 2026-11-22T16:35:00.000Z' },
        }),
        run({
          ...{ id: 'default~a~before~1', instant: t - 3 * minute, claimedAt: t - 3 * minute },
          endedAt: t + 29_990,
        }),
        run({
          id: 'default~a~long-ago~1',
          instant: t - 9 * minute,
          claimedAt: t - 9 * minute,
          endedAt: t - 1,
        }),
      ],
    },
    'succeeded',
    /It started late: default~a~before~1 lived until 2026-11-22T16:35:29.990Z, and the job's overlap is queue; 2 missed before it are covered by it\.$/,
  ],
  [
    'was claimed late after the run before it, which its worker took with it',
    {
      runs: [run({ worker: 'w2', claimedAt: t + 20_000, startedAt: t + 20_010 })],
      around: [
        run({
          ...{ id: 'default~a~before~1', state: 'lost', reason: 'its worker w1 is gone' },
          ...{ instant: t - minute, claimedAt: t - minute, endedAt: t + 12_000 },
        }),
      ],
    },
    'succeeded',
    /default~a~before~1 lived until 2026-11-22T16:35:12.000Z, and the job's overlap is skip; w2 claimed it only 8000 ms after that/,
  ],
  [
    'was late beside a run that may live beside others, which says nothing',
    {
      record: record({}, { overlap: 'allow' }),
      runs: [run({ worker: 'w1', claimedAt: t + 4_000, startedAt: t + 4_100 })],
      around: [run({ id: 'default~a~before~1', claimedAt: t - minute, endedAt: t + 3_990 })],
    },
    'succeeded',
    /It started late: w1 claimed it only 4000 ms after the instant/,
  ],
  [
    'was late beside a run of another lane, which says nothing',
    {
      runs: [run({ id: 'default~a~x~1~w1', worker: 'w1', claimedAt: t + 4_000, startedAt: t + 4_100 })],
      around: [run({ id: 'default~a~before~1~w2', claimedAt: t - minute, endedAt: t + 3_990 })],
    },
    'succeeded',
    /It started late: w1 claimed it only 4000 ms after the instant/,
  ],
  [
    'was caught up on',
    { runs: [run({ trigger: 'catch-up', worker: 'w1', claimedAt: t + 600_000, startedAt: t + 600_010 })] },
    'succeeded',
    /It started late: it was caught up on; w1 claimed it only 600000 ms after the instant/,
  ],
  [
    'was asked for long after it',
    {
      runs: [
        run({ trigger: 'backfill', by: 'ann', worker: 'w1', claimedAt: t + 600_000, startedAt: t + 600_010 }),
      ],
    },
    'succeeded',
    /It started late: ann asked for it by a backfill\.$/,
  ],
  [
    'ran at its next attempt, after a loss',
    {
      runs: [
        run({ attempt: 2, trigger: 'retry', worker: 'w2', claimedAt: t + 20_000, startedAt: t + 20_010 }),
        run({
          state: 'lost',
          reason: 'its worker w1 is gone',
          worker: 'w1',
          claimedAt: t - 200,
          endedAt: t + 12_000,
        }),
      ],
    },
    'succeeded',
    /succeeded at attempt 2\. It started late: attempt 1 had ended 2026-11-22T16:35:12.000Z as lost \(its worker w1 is gone\)\.$/,
  ],
  [
    'is running, and started late',
    {
      running: [{ run: 'r', worker: 'w1', state: 'claimed', at: t, attempt: 1 }],
      runs: [run({ id: 'r', state: 'running', worker: 'w1', claimedAt: t - 200, startedAt: t + 5_000 })],
    },
    'running',
    /running on w1\. It started late: w1, which had claimed it .*, took 5000 ms to start it\.$/,
  ],
  [
    'failed at its last attempt',
    { runs: [run({ state: 'failed', attempt: 3, worker: 'w1', startedAt: t })] },
    'failed',
    /failed at attempt 3/,
  ],
  [
    'timed out',
    { runs: [run({ state: 'timed_out', worker: 'w1', startedAt: t })] },
    'timed_out',
    /timed out/,
  ],
  ['was killed', { runs: [run({ state: 'killed', worker: 'w1', startedAt: t })] }, 'killed', /was killed/],
  [
    'was lost',
    { runs: [run({ state: 'lost', worker: 'w1', startedAt: t, reason: 'its worker w1 is gone' })] },
    'lost',
    /was lost: its worker w1 is gone/,
  ],
  [
    'never started',
    { runs: [run({ state: 'cancelled', reason: 'the shell is missing' })] },
    'cancelled',
    /was cancelled: the shell is missing/,
  ],
  [
    'was skipped for overlap',
    { runs: [run({ state: 'skipped', reason: 'overlap' })] },
    'skipped',
    /was skipped: overlap/,
  ],
  [
    'was missed in a stretch',
    {
      runs: [
        run({
          state: 'missed',
          instant: t - minute,
          until: t + minute,
          count: 3,
          reason: 'no worker fits it',
        }),
      ],
    },
    'missed',
    /one of 3 instants, 2026-11-22T16:34:00.000Z to .* missed: no worker fits it/,
  ],
  [
    'ran on every worker',
    {
      runs: [
        run({ id: 'default~a~x~1~w1', worker: 'w1' }),
        run({ id: 'default~a~x~1~w2', worker: 'w2', state: 'failed' }),
      ],
    },
    'failed',
    /w1: succeeded, w2: failed/,
  ],
  [
    'is running',
    {
      running: [{ run: 'r', worker: 'w1', state: 'claimed', at: t, attempt: 1 }],
      runs: [run({ id: 'r', state: 'running' })],
    },
    'running',
    /running on w1/,
  ],
  [
    'is claimed',
    { running: [{ run: 'r', worker: 'w1', state: 'claimed', at: t, attempt: 1 }] },
    'claimed',
    /claimed by w1/,
  ],
  [
    'waits for its next attempt',
    {
      running: [{ run: 'r', worker: 'w1', state: 'waiting', at: t, attempt: 2 }],
      runs: [run({ state: 'failed' })],
    },
    'waiting',
    /waits on w1 .* after attempt 1 failed/,
  ],
  [
    'waits in an order',
    { orders: [{ id: 'o1', kind: 'backfill', by: 'ann', at: t }] },
    'waiting',
    /order o1 \(backfill, by ann\)/,
  ],
  [
    'is due and nobody has decided it',
    { now: t + minute },
    'due',
    /nobody has decided it yet: w1 may run it/,
  ],
  ['is due now', { now: t + 1_000 }, 'due', /due now; w1 may take it/],
  [
    'is due, and its cursor is not to be read',
    { now: t + 1_000, strangers: [{ key: '/cron/cursors/g/n/~', problem: 'is not JSON' }] },
    'due',
    /nobody decides it: the store's key \/cron\/cursors\/g\/n\/~ can't be read \(is not JSON\)\. To mend it: cronfleet pause .*, cronfleet resume .*, etcdctl del \/cron\/cursors/,
  ],
  ['is due and there is no worker', { workers: [] }, 'due', /nobody may run it: there is no worker/],
  ['is due and no worker fits', { workers: [{ id: 'w1', not: 'is draining' }] }, 'due', /w1 is draining/],
  ['is to come', { instant: t + 9 * minute }, 'coming', /still to come; w1 may run it/],
  [
    'is to come, left out',
    { instant: t + 9 * minute, record: record({ skips: [t + 9 * minute] }) },
    'coming',
    /will not run: it was left out/,
  ],
  [
    'is to come, disabled',
    { instant: t + 9 * minute, record: record({}, { enabled: false }) },
    'coming',
    /disabled/,
  ],
  [
    'is to come, paused',
    { instant: t + 9 * minute, record: record({ paused }) },
    'coming',
    /ann has paused the job \(disk swap\)/,
  ],
  ['is to come, with nobody there', { instant: t + 9 * minute, workers: [] }, 'coming', /nobody may run it/],
  [
    'is no instant',
    { instant: t + 1 },
    'no_instant',
    /one before is 2026-11-22T16:35:00.000Z, the next is 2026-11-22T16:36:00.000Z/,
  ],
  ['has no schedule', { schedule: null }, 'no_instant', /by hand only/],
  [
    'was before the job',
    { record: record({ createdAt: t + 1, floor: t + 1 }) },
    'no_instant',
    /was made only later/,
  ],
  [
    'was before the schedule',
    { record: record({ floor: t + 1, floorWhy: 'created' }) },
    'no_instant',
    /present form only later/,
  ],
  [
    'was between a job and its next of the same name, which has been decided since',
    {
      record: record({ createdAt: t + 1, floor: t + 1 }),
      cursors: [{ lane: '~', instant: t + minute, from: 'w1', why: 'run' }],
    },
    'no_instant',
    /was made only later/,
  ],
  [
    'was before a job that was paused since',
    {
      record: record({ createdAt: t + 1, floor: t + 2, floorWhy: 'paused' }),
      cursors: [{ lane: '~', instant: t + minute, from: 'w1', why: 'run' }],
    },
    'no_instant',
    /was made only later/,
  ],
  [
    'was before the schedule, which has been decided since',
    {
      record: record({ floor: t + 1, floorWhy: 'created' }),
      cursors: [{ lane: '~', instant: t + minute, from: 'w1', why: 'run' }],
    },
    'no_instant',
    /present form only later/,
  ],
  ['was before an edit', { record: record({ floor: t + 1, floorWhy: 'edited' }) }, 'skipped', /edited/],
  [
    'was in a pause that is over',
    { record: record({ floor: t + 1, floorWhy: 'paused' }) },
    'skipped',
    /paused/,
  ],
  ['is in a pause', { record: record({ paused }) }, 'skipped', /ann had paused the job/],
  ['was while disabled', { record: record({}, { enabled: false }) }, 'skipped', /disabled/],
  ['was left out', { record: record({ skips: [t] }) }, 'skipped', /left out by hand/],
  [
    'was decided, its record is gone',
    { cursors: [{ lane: '~', instant: t, from: 'w1', why: 'run' }] },
    'unknown',
    /was decided/,
  ],
  [
    'was decided, while the history is away',
    { historyAway: true, cursors: [{ lane: '~', instant: t, from: 'w1', why: 'claimed' }] },
    'unknown',
    /history does not answer.*it alone knows.*decided \(claimed, up to 2026/,
  ],
  [
    'a save may have settled, while the history is away',
    { historyAway: true, record: record({ floor: t, floorWhy: 'edited' }) },
    'unknown',
    /history does not answer/,
  ],
  [
    'was settled when its job was disabled, while the history is away',
    { historyAway: true, record: record({ settled: t }, { enabled: false }) },
    'unknown',
    /it alone knows/,
  ],
  [
    'has come while disabled, while the history is away',
    { historyAway: true, record: record({ settled: t - 1 }, { enabled: false }) },
    'skipped',
    /disabled/,
  ],
  [
    'was settled by an edit to another schedule, and is of no schedule now',
    {
      runs: [run({ state: 'skipped', reason: 'edited', until: t + minute, count: 2 })],
      record: record({ floor: t + 2 * minute, settled: t + 2 * minute }),
      schedule: null,
    },
    'skipped',
    /one of 2 instants.* skipped: edited/,
  ],
  ['nobody has decided, while the history is away', { historyAway: true }, 'due', /w1 may run it/],
  [
    'is to come, and a cursor ahead of the clock says it is decided',
    { now: t - minute, cursors: [{ lane: '~', instant: t + 60 * minute, from: 'w9', why: 'run' }] },
    'coming',
    /will not run as things stand: a cursor \(of w9\).*ahead of the clock; cronfleet doctor/,
  ],
  [
    'is to come, while the history is away',
    { historyAway: true, now: t - minute },
    'coming',
    /still to come/,
  ],
  ['is of no job', { record: null, schedule: null }, 'unknown', /no job default\/a/],
];

describe('why', () => {
  for (const [name, more, state, sentence] of rows)
    it(`says so of an instant that ${name}`, () => {
      const facts: WhyFacts = {
        ...{ job: 'default/a', instant: t, now: t + 2 * minute, record: record(), schedule: everyMinute },
        ...{
          cursors: [],
          runs: [],
          around: [],
          running: [],
          orders: [],
          workers: [w1],
          strangers: [],
          historyAway: false,
        },
        ...more,
      };
      const why = explain(facts);
      assert.equal(why.state, state);
      assert.match(why.sentence, sentence);
      assert.ok(why.evidence.length > 0);
      // Each time that is named stands among what it rests on.
      for (const [, at = ''] of why.sentence.matchAll(/(?:until|ended|claimed it) (2\S+Z)/g))
        if (/started late/.test(why.sentence))
          assert.ok(
            why.evidence.some((one) => one.at === Date.parse(at)),
            at,
          );
      const ended = facts.runs.some(({ state }) => isTerminal(state));
      if (ended) assert.ok(why.evidence.every(({ source }) => source !== 'workers'));
    });
});

describe('a forecast', () => {
  const hours = (text: string, limit: number) => {
    const steps = Array.from({ length: 24 }, () => ({ count: 0, jobs: 0 }));
    const day = 86_400_000;
    const range = { from: 0, to: day, start: 0, stepMs: day / 24, limit };
    const whole = addInstants(steps, parseSchedule(text), range);
    return { whole, steps };
  };

  it('counts the instants of each step', () => {
    const { whole, steps } = hours('*/15 2,3 * * *', 100);
    assert.equal(whole, true);
    assert.deepEqual(
      steps.map(({ count }) => count),
      Array.from({ length: 24 }, (_, hour) => (hour === 2 || hour === 3 ? 4 : 0)),
    );
  });

  it('of more than it may count says how many there are at that rate', () => {
    const { whole, steps } = hours('* * * * * *', 7_200);
    assert.equal(whole, false);
    assert.deepEqual([steps[0]?.count, steps[23]?.count, steps[23]?.jobs], [3_600, 3_600, 1]);
  });

  it('that ends just at its limit is no estimate', () => {
    assert.equal(hours('0 * * * *', 24).whole, true);
  });
});
