import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { barredBy } from '#core/decide/may-start.ts';
import { Job, type JobRecord } from '#core/model/job.ts';
import type { Trigger } from '#core/model/run.ts';

const t = Date.UTC(2026, 10, 22, 16, 35);
const paused = { by: 'ann', at: t - 100, reason: '', until: null };

function record(more: Partial<JobRecord> = {}, enabled = true): JobRecord {
  return {
    ...{ job: v.parse(Job, { name: 'a', command: 'true', enabled }), revision: '1', paused: null, skips: [] },
    ...{ floor: t - 60_000, floorWhy: 'created', createdAt: t - 60_000, updatedAt: t, updatedBy: 'me' },
    ...{ cronExpr: null, ...more },
  };
}

/** A run of instant t, claimed 200 ms ahead and let go 30 ms late: what has become of its job since the claim. */
const rows: [string, JobRecord | null, string | null, Trigger?][] = [
  ['nothing', record(), null],
  ['deleted', null, 'deleted'],
  ['deleted, and made anew after the instant', record({ createdAt: t + 9, floor: t + 9 }), 'deleted'],
  ['deleted, and made anew before it', record({ createdAt: t - 9, floor: t - 9 }), null],
  ['disabled', record({}, false), 'disabled'],
  ['disabled, and enabled after the instant', record({ floor: t + 9, floorWhy: 'disabled' }), 'disabled'],
  ['disabled, and enabled before it', record({ floor: t - 9, floorWhy: 'disabled' }), null],
  ['paused', record({ paused }), 'paused'],
  ['paused until a little later', record({ paused: { ...paused, until: t + 31 } }), 'paused'],
  ['paused until the instant', record({ paused: { ...paused, until: t } }), null],
  ['paused, and resumed after the instant', record({ floor: t + 9, floorWhy: 'paused' }), 'paused'],
  ['paused, and resumed before it', record({ floor: t - 9, floorWhy: 'paused' }), null],
  ['edited: the claimed version starts', record({ floor: t + 9, floorWhy: 'edited' }), null],
  ['left out', record({ skips: [t] }), 'left out by hand'],
  ['another instant left out', record({ skips: [t + 1] }), null],
  ['left out, but asked for by hand', record({ skips: [t] }), null, 'manual'],
  ['paused, but asked for by hand', record({ paused }), null, 'backfill'],
  [
    'resumed after the instant, and caught up on',
    record({ floor: t + 9, floorWhy: 'paused' }),
    null,
    'catch-up',
  ],
];

describe('what bars a claimed run from its start', () => {
  for (const [name, job, expected, trigger = 'schedule'] of rows)
    it(name, () => assert.equal(barredBy(job, t + 30, { trigger, instant: t }), expected));
});
