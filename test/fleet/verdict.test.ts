import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { instantText } from '#core/model/ids.ts';
import { Job, type JobInput } from '#core/model/job.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { type Evidence, judge, type Stamp } from './verdict.ts';

const at = (seconds: number) => Date.UTC(2026, 0, 1) + seconds * 1_000;
const idOf = (seconds: number, attempt = 1) => `default~j~${instantText(at(seconds))}~${attempt}`;

function stamp(seconds: number, more: Partial<Stamp> = {}): Stamp {
  return {
    run: idOf(seconds),
    fence: String(seconds),
    start: at(seconds) + 5,
    end: at(seconds) + 500,
    ...more,
  };
}

function record(seconds: number, more: Partial<Run> = {}): Run {
  const base = { id: idOf(seconds), group: 'default', name: 'j', state: 'succeeded' as const };
  return blankRun({
    ...base,
    ...{ instant: at(seconds), startedAt: at(seconds) + 4, endedAt: at(seconds) + 510 },
    ...more,
  });
}

function evidence(more: Partial<Evidence> = {}, job: Partial<JobInput> = {}): Evidence {
  return {
    jobs: [v.parse(Job, { name: 'j', command: 'x', schedule: '* * * * * *', overlap: 'allow', ...job })],
    stamps: [stamp(1), stamp(2), stamp(3)],
    records: [record(1), record(2), record(3)],
    due: new Map([['default/j', [at(1), at(2), at(3)]]]),
    quiet: { from: at(0), to: at(10) },
    machine: [],
    ...more,
  };
}

const breaches = (more: Partial<Evidence>, job: Partial<JobInput> = {}) =>
  judge(evidence(more, job)).breaches.map((text) => text.slice(0, 2));

describe('the verdict on a fleet', () => {
  it('finds nothing where each instant started once, in time, and is written down', () => {
    const { breaches: none, ...sums } = judge(evidence());
    assert.deepEqual(none, []);
    assert.deepEqual(sums, {
      ...{ due: 3, started: 3, duplicates: 0, unaccounted: 0 },
      ...{ worstLateMs: 5, worstQuietLateMs: 5 },
    });
  });

  it('finds a second start', () => {
    const verdict = judge(evidence({ stamps: [stamp(1), stamp(1), stamp(2), stamp(3)] }));
    assert.equal(verdict.duplicates, 1);
    assert.match(verdict.breaches.join(), /P1 .* started 2 times/);
  });

  it('finds an instant without a record, and one that did not start in the quiet', () => {
    const verdict = judge(evidence({ stamps: [stamp(1), stamp(2)], records: [record(1), record(2)] }));
    assert.equal(verdict.unaccounted, 1);
    assert.deepEqual(
      verdict.breaches.map((text) => text.slice(0, 2)),
      ['P2', 'P3'],
    );
  });

  it('takes a stretch for the record of each instant in it', () => {
    const stretch = record(2, { state: 'skipped', startedAt: null, until: at(3), count: 2 });
    const quiet = { from: at(9), to: at(10) };
    assert.deepEqual(breaches({ stamps: [stamp(1)], records: [record(1), stretch], quiet }), []);
  });

  it('finds a start whose record is missing, open, or knows of no start', () => {
    assert.deepEqual(breaches({ records: [record(1), record(2), record(3, { state: 'running' })] }), [
      'P2',
      'P2',
    ]);
    assert.deepEqual(
      breaches({ records: [record(1), record(2), record(3, { state: 'missed', startedAt: null })] }),
      ['P2'],
    );
  });

  it('finds runs that overlap where they must not, but for what was closed as lost', () => {
    const stamps = [stamp(1, { end: at(2) + 300 }), stamp(2), stamp(3)];
    assert.deepEqual(breaches({ stamps }), []);
    assert.deepEqual(breaches({ stamps }, { overlap: 'queue' }), ['P6']);
    const records = [record(1, { state: 'lost' }), record(2), record(3)];
    assert.deepEqual(breaches({ stamps, records }, { overlap: 'queue' }), []);
  });

  it('finds an attempt before the end of the one before it, and a fence that is not greater', () => {
    const second = { run: idOf(3, 2), start: at(3) + 100, end: at(3) + 200 };
    const records = [
      record(1),
      record(2),
      record(3),
      record(3, { id: idOf(3, 2), attempt: 2, trigger: 'retry' }),
    ];
    const stamps = [stamp(1), stamp(2), stamp(3)];
    assert.deepEqual(breaches({ records, stamps: [...stamps, stamp(3, { ...second, fence: '9' })] }), ['P1']);
    const later = { ...second, start: at(4), end: at(5), fence: '3' };
    assert.deepEqual(breaches({ records, stamps: [...stamps, stamp(3, later)] }), ['P7']);
  });

  it('finds what is early, and what is late in the quiet only', () => {
    assert.deepEqual(breaches({ stamps: [stamp(1, { start: at(1) - 1 }), stamp(2), stamp(3)] }), ['P4']);
    const stamps = [stamp(1), stamp(2), stamp(3, { start: at(6), end: at(7) })];
    assert.deepEqual(breaches({ stamps }), ['P3']);
    assert.deepEqual(breaches({ stamps, quiet: { from: at(4), to: at(9) } }), []);
    assert.equal(judge(evidence({ stamps })).worstLateMs, 3_000);
    // By as much as the machine itself was late then, and at no other time.
    assert.deepEqual(breaches({ stamps, machine: [{ at: at(3), lateMs: 1_000 }] }), []);
    assert.deepEqual(breaches({ stamps, machine: [{ at: at(3), lateMs: 999 }] }), ['P3']);
    assert.deepEqual(breaches({ stamps, machine: [{ at: at(0), lateMs: 1_000 }] }), ['P3']);
    assert.deepEqual(breaches({ stamps: [stamp(1), stamp(2)], machine: [{ at: at(3), lateMs: 9_000 }] }), [
      'P3',
    ]);
  });
});
