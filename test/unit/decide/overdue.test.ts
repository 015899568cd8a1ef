import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { deadWorkers, overdueOf, type WatchedLane } from '#core/decide/overdue.ts';
import { Job, type JobInput, type JobRecord } from '#core/model/job.ts';
import { parseSchedule } from '#core/schedule/parse.ts';

const minute = 60_000;
const t = Date.UTC(2026, 10, 22, 12);
const at = (minutes: number) => t + minutes * minute;
const live = { id: 'w1', not: null };

function lane(
  more: Partial<WatchedLane> = {},
  job: Partial<JobInput> = {},
  record: Partial<JobRecord> = {},
): WatchedLane {
  return {
    record: {
      job: v.parse(Job, { name: 'a', command: 'x', ...job }),
      ...{ revision: '1', floor: at(-60), floorWhy: 'created', paused: null, skips: [], cronExpr: null },
      ...{ createdAt: at(-60), updatedAt: at(-60), updatedBy: 'me', ...record },
    },
    ...{
      job: 'default/a',
      lane: '~',
      cursorKey: '/cron/cursors/default/a/~',
      schedule: parseSchedule('* * * * *'),
      cursor: at(-5),
      since: null,
    },
    ...{ living: false, workers: [live], now: at(0.75), ...more },
  };
}

describe('what is overdue', () => {
  const paused = { by: 'ann', at: t, reason: '', until: null };
  /** The first overdue instant in minutes from t, how many, and why. */
  const rows: [string, WatchedLane, [number, number, RegExp] | null][] = [
    ['five that nobody decided', lane(), [-4, 5, /w1 may run it, but is full, or does not decide/]],
    ['nothing that was decided', lane({ cursor: at(0) }), null],
    ['nothing that may yet be decided in time', lane({ cursor: at(-1), now: at(0.4) }), null],
    ['what was not within half a minute', lane({ cursor: at(-1), now: at(0.6) }), [0, 1, /./]],
    ['nothing below the floor', lane({}, {}, { floor: at(0) }), null],
    ['what lies above it, of a job that nobody ever decided', lane({ cursor: null }), [-59, 60, /./]],
    ['nothing of a disabled job', lane({}, { enabled: false }), null],
    ['nothing of a paused one', lane({}, {}, { paused }), null],
    [
      'nothing from within a pause that is over',
      lane({}, {}, { paused: { ...paused, until: at(0.01) } }),
      null,
    ],
    ['nothing without a schedule', lane({ schedule: null }), null],
    ['not what was left out by hand', lane({ cursor: at(-1) }, {}, { skips: [at(0)] }), null],
    ['nothing that waits its turn by its own policy', lane({ living: true }, { overlap: 'queue' }), null],
    [
      'what a living run is not meant to hold back',
      lane({ living: true }, { overlap: 'replace' }),
      [-4, 5, /last run still lives; w1/],
    ],
    ['with nobody there', lane({ workers: [] }), [-4, 5, /there is no worker/]],
    [
      'with nobody fit',
      lane({ workers: [{ id: 'w1', not: 'is draining' }] }),
      [-4, 5, /nobody may run it: w1 is draining/],
    ],
    [
      'what a kill at the loss of a lease may take',
      lane({ cursor: at(-1) }, { onLeaseLoss: 'kill', killGrace: '1m' }),
      null,
    ],
    [
      'nothing from a worker that has only just come',
      lane({ lane: 'w1', since: at(0.5) }, { mode: 'all' }),
      null,
    ],
  ];
  const year = 525_600;
  rows.push(
    [
      'what is still to come and a cursor of a clock a year ahead says is decided',
      lane({ cursor: at(year) }),
      [
        1,
        100_000,
        /^its cursor says .* up to 2027-11-22T12:00:00.000Z.* pause default\/a, etcdctl del \/cron\/cursors\/default\/a\/~, cronfleet resume/,
      ],
    ],
    [
      'nothing that a cursor so far ahead does not stop',
      lane({ cursor: at(2), schedule: parseSchedule('0 0 1 1 *') }),
      null,
    ],
    ['nothing while deciders are as far ahead as they may be', lane({ cursor: at(1.7) }), null],
    ['nothing ahead of a disabled job', lane({ cursor: at(year) }, { enabled: false }), null],
    ['nothing where a worker has only said so of itself', lane({ cursor: at(year), cursorKey: null }), null],
  );
  for (const [name, given, expected] of rows)
    it(`is ${name}`, () => {
      const found = overdueOf(given);
      if (expected === null) return assert.equal(found, null);
      const [first, count, why] = expected;
      assert.deepEqual([found?.instant, found?.count], [at(first), count]);
      assert.match(found?.why ?? '', why);
    });
});

describe('dead workers', () => {
  const held = [
    { job: 'default/a', run: 'r1', worker: 'w1', at: at(-10) },
    { job: 'default/b', run: 'r2', worker: 'w1', at: at(-1) },
    { job: 'default/c', run: 'r3', worker: 'w2', at: at(-10) },
  ];
  const dead = (registered: string[], beats: [string, number][]) =>
    deadWorkers({ held, registered: new Set(registered), lastBeats: new Map(beats), now: t }).map(
      ({ worker, runs, why }) => [worker, runs, /no worker is left/.test(why)],
    );

  it('are those that left runs and no registration, once a keeper should have closed them', () => {
    assert.deepEqual(dead(['w2'], [['w1', at(-3)]]), [['w1', ['r1', 'r2'], false]]);
    assert.deepEqual(dead(['w2'], [['w1', at(-1)]]), []);
    assert.deepEqual(dead(['w1', 'w2'], []), []);
  });

  it('are judged by their youngest claim where nobody knows their last beat', () => {
    assert.deepEqual(dead([], []), [['w2', ['r3'], true]]);
  });
});
