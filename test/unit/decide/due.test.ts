import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import {
  decideLane,
  decideUnfit,
  type Instants,
  type LaneView,
  onTimeMs,
  settleVersion,
  uncovered,
} from '#core/decide/due.ts';
import { Job, type JobInput, type JobRecord } from '#core/model/job.ts';

const minute = 60_000;
const t0 = Date.UTC(2026, 10, 22, 12);
const at = (minutes: number) => t0 + minutes * minute;

/** Every full minute: enough of a schedule to decide on. */
const everyMinute: Instants = {
  next: (after) => (Math.floor(after / minute) + 1) * minute,
  prev: (before) => (Math.ceil(before / minute) - 1) * minute,
  count: (from, to, limit = Number.POSITIVE_INFINITY) =>
    Math.min(limit, Math.floor(to / minute) - Math.floor(from / minute)),
};

function view(job: Partial<JobInput>, more: Partial<LaneView & JobRecord>): LaneView {
  const { cursor = at(0), now = at(0), held = null, schedule = everyMinute, ...record } = more;
  return {
    cursor,
    now,
    held,
    schedule,
    record: {
      job: v.parse(Job, { name: 'job', command: 'true', ...job }),
      revision: '1',
      floor: at(-60),
      floorWhy: 'created',
      paused: null,
      skips: [],
      createdAt: 0,
      updatedAt: 0,
      updatedBy: 'test',
      cronExpr: null,
      ...record,
    },
  };
}

describe('what a lane does next', () => {
  it('waits for the instant after the cursor', () => {
    assert.deepEqual(decideLane(view({}, { now: at(0.5) })), { do: 'wait', at: at(1), instant: at(1) });
  });

  it('runs an instant that has come', () => {
    const verdict = decideLane(view({}, { now: at(1) }));
    assert.deepEqual(verdict, { do: 'run', instant: at(1), trigger: 'schedule', covers: null, records: [] });
  });

  it('counts from the floor where nobody has decided anything', () => {
    const verdict = decideLane(view({}, { cursor: null, floor: at(5), now: at(5.5) }));
    assert.deepEqual(verdict, { do: 'wait', at: at(6), instant: at(6) });
  });

  it('rests while disabled, by hand only, or paused without end', () => {
    assert.deepEqual(decideLane(view({ enabled: false }, { now: at(3) })), { do: 'rest' });
    assert.deepEqual(decideLane(view({}, { now: at(3), schedule: null })), { do: 'rest' });
    const paused = { by: 'me', at: at(0), reason: '', until: null };
    assert.deepEqual(decideLane(view({}, { now: at(3), paused })), { do: 'rest' });
  });

  it('looks again at the end of a pause, and then says of one stretch that it was paused', () => {
    const paused = { by: 'me', at: at(0), reason: '', until: at(10) };
    assert.deepEqual(decideLane(view({}, { now: at(3), paused })), { do: 'wait', at: at(10), instant: null });
    const verdict = decideLane(view({}, { now: at(10), paused }));
    assert.equal(verdict.do, 'run');
    assert.equal(verdict.do === 'run' && verdict.instant, at(10));
    assert.deepEqual('records' in verdict && verdict.records, [
      { instant: at(1), until: at(9), count: 9, state: 'skipped', reason: 'paused' },
    ]);
  });

  it('settles the stretch below a new floor with one record, and runs none of it', () => {
    const verdict = decideLane(view({}, { floor: at(4.5), floorWhy: 'edited', now: at(4.6) }));
    assert.deepEqual(verdict, {
      do: 'decide',
      cursor: at(4.5),
      records: [{ instant: at(1), until: at(4), count: 4, state: 'skipped', reason: 'edited' }],
    });
  });

  it('says nothing twice: of what a save has settled there is a record', () => {
    const floor = { floor: at(4.5), floorWhy: 'disabled' as const, now: at(4.6) };
    const wait = { do: 'wait', at: at(5), instant: at(5) };
    assert.deepEqual(decideLane(view({}, { ...floor, settled: at(4.5) })), wait);
    assert.deepEqual(decideLane(view({}, { ...floor, settled: at(2.5) })), {
      do: 'decide',
      cursor: at(4.5),
      records: [{ instant: at(3), until: at(4), count: 2, state: 'skipped', reason: 'disabled' }],
    });
    // Nor has a settlement anything to do with what is due.
    assert.equal(decideLane(view({}, { settled: at(9), now: at(1) })).do, 'run');
    // Of a lane that nobody knew of then it says nothing.
    const lane = { ...floor, settled: at(4.5), cursor: null, createdAt: at(2.5) };
    assert.deepEqual(decideLane(view({ mode: 'all' }, { ...lane, floorWhy: 'paused' })), {
      do: 'decide',
      cursor: at(4.5),
      records: [{ instant: at(3), until: at(4), count: 2, state: 'skipped', reason: 'paused' }],
    });
    // But where the job was enabled then, that may have been by another schedule: who enabled it has said all of it.
    assert.deepEqual(decideLane(view({ mode: 'all' }, lane)), wait);
    assert.equal(decideLane(view({ mode: 'all' }, { ...lane, settled: at(2.5) })).do, 'decide');
  });

  it('says nothing of the time before a job was made', () => {
    const verdict = decideLane(view({}, { cursor: at(-30), floor: at(0), now: at(0.5) }));
    assert.deepEqual(verdict, { do: 'wait', at: at(1), instant: at(1) });
  });
});

describe('what is said of the undecided when a version ends', () => {
  const rows: [string, Partial<JobInput>, Partial<LaneView & JobRecord>, string[]][] = [
    ['nothing where all is decided', {}, { cursor: at(4) }, []],
    ['nothing where there is no schedule', {}, { schedule: null }, []],
    ['nothing of what is claimed ahead', {}, { cursor: at(5) }, []],
    ['one stretch', {}, {}, ['1-4 edited']],
    ['from the floor on', {}, { floor: at(2.5) }, ['3-4 edited']],
    [
      'what lies below a floor, by its reason',
      {},
      { floor: at(2.5), floorWhy: 'paused' },
      ['1-2 paused', '3-4 edited'],
    ],
    ['nothing that is settled', {}, { floor: at(2.5), floorWhy: 'paused', settled: at(2.5) }, ['3-4 edited']],
    ['disabled, where it has been', { enabled: false }, { settled: at(2.5) }, ['3-4 disabled']],
    ['paused, where it is', {}, { paused: { by: 'me', at: at(0), reason: '', until: null } }, ['1-4 paused']],
    [
      'paused up to the end of a pause',
      {},
      { paused: { by: 'me', at: at(0), reason: '', until: at(3) } },
      ['1-2 paused', '3-4 edited'],
    ],
    [
      'left out, where somebody said so',
      {},
      { skips: [at(2), at(9)] },
      ['1-1 edited', '2-2 left out by hand', '3-4 edited'],
    ],
    [
      'from its creation where nobody has decided anything',
      {},
      { cursor: null, floor: at(1.5), createdAt: at(1.5) },
      ['2-4 edited'],
    ],
  ];
  for (const [name, job, more, expected] of rows)
    it(name, () => {
      const stretches = settleVersion(view(job, { now: at(4.5), ...more }), 'edited');
      assert.deepEqual(
        stretches.map(
          ({ instant, until, reason }) => `${(instant - t0) / minute}-${(until - t0) / minute} ${reason}`,
        ),
        expected,
      );
      assert.ok(stretches.every(({ state }) => state === 'skipped'));
    });
});

describe('what nobody could run in time', () => {
  const now = at(10) + 20_000;

  it('catches up on the last, and says what it covers', () => {
    const verdict = decideLane(view({ catchUp: 'last' }, { now }));
    assert.deepEqual(verdict, {
      do: 'run',
      instant: at(10),
      trigger: 'catch-up',
      covers: { from: at(1), count: 9 },
      records: [
        {
          instant: at(1),
          until: at(9),
          count: 9,
          state: 'missed',
          reason: 'covered by the run of 2026-11-22T12:10:00.000Z',
        },
      ],
    });
  });

  it('says of nothing that it is covered by a run that an overlap has skipped', () => {
    const verdict = decideLane(view({ catchUp: 'last' }, { now, floor: at(4.5), floorWhy: 'edited' }));
    assert.ok(verdict.do === 'run');
    assert.deepEqual(
      uncovered(verdict).map(({ instant, count, reason }) => [instant, count, reason]),
      [
        [at(1), 4, 'edited'],
        [at(5), 5, 'nobody could run it in time, and what would have covered it was skipped: overlap'],
      ],
    );
  });

  it('misses all of it where catchUp is none', () => {
    const verdict = decideLane(view({ catchUp: 'none' }, { now }));
    assert.equal(verdict.do, 'decide');
    assert.deepEqual(
      'records' in verdict && verdict.records.map(({ instant, until, state }) => [instant, until, state]),
      [[at(1), at(10), 'missed']],
    );
  });

  it('still runs one that is only seconds late where catchUp is none', () => {
    const verdict = decideLane(view({ catchUp: 'none' }, { now: at(1) + onTimeMs }));
    assert.equal(verdict.do === 'run' && verdict.instant, at(1));
  });

  it('says of those before it that they were too late, where catchUp is none', () => {
    const verdict = decideLane(view({ catchUp: 'none' }, { now: at(3) + onTimeMs }));
    assert.deepEqual(verdict, {
      do: 'run',
      instant: at(3),
      trigger: 'schedule',
      covers: null,
      records: [
        {
          ...{ instant: at(1), until: at(2), count: 2, state: 'missed' },
          reason: 'nobody could run it in time, and catchUp is none',
        },
      ],
    });
  });

  it('hands all of it to an order where catchUp is all, as far as the window reaches', () => {
    const verdict = decideLane(view({ catchUp: 'all', catchUpWindow: '5m' }, { now }));
    assert.deepEqual(verdict, {
      do: 'catch-up',
      cursor: at(10),
      from: at(6),
      to: at(10),
      records: [
        { instant: at(1), until: at(5), count: 5, state: 'missed', reason: 'nobody could run it within 5m' },
      ],
    });
  });

  it('misses what lies before the window, also the last', () => {
    const verdict = decideLane(view({ catchUpWindow: '10s' }, { now }));
    assert.deepEqual(verdict.do === 'decide' && [verdict.cursor, verdict.records.length], [at(10), 1]);
  });

  it('keeps what was held back by an overlap, whatever catchUp says', () => {
    const verdict = decideLane(view({ catchUp: 'none', overlap: 'queue' }, { now, held: at(8) }));
    assert.equal(verdict.do === 'run' && verdict.instant, at(10));
  });
});

describe('instants left out by hand', () => {
  it('are skipped with a record, and the rest goes on', () => {
    assert.deepEqual(decideLane(view({}, { now: at(1), skips: [at(1)] })), {
      do: 'decide',
      cursor: at(1),
      records: [{ instant: at(1), until: at(1), count: 1, state: 'skipped', reason: 'left out by hand' }],
    });
  });

  it('are never caught up on', () => {
    const verdict = decideLane(view({}, { now: at(3), skips: [at(3), at(1)] }));
    assert.equal(verdict.do === 'run' && verdict.instant, at(2));
    assert.deepEqual('records' in verdict && verdict.records.map(({ instant, state }) => [instant, state]), [
      [at(1), 'skipped'],
    ]);
  });
});

describe('a job that no live worker fits', () => {
  it('waits as long as catching up would reach back, and is missed then', () => {
    assert.deepEqual(decideUnfit(view({ catchUpWindow: '5m' }, { now: at(3) })), {
      do: 'wait',
      at: at(6),
      instant: null,
    });
    assert.deepEqual(decideUnfit(view({ catchUpWindow: '5m' }, { now: at(8) })), {
      do: 'decide',
      cursor: at(3),
      records: [{ instant: at(1), until: at(3), count: 3, state: 'missed', reason: 'no worker fits it' }],
    });
  });
});
