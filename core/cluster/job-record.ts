import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import { type Compare, type Entry, type Kv, prefixRange, type Revision } from '#core/ports/kv.ts';
import { instantFields } from './check-job.ts';
import type { Layout } from './keys.ts';
import { readJob } from './read-key.ts';
import { type Lanes, nothingToSettle, type Settlement, settle } from './settle.ts';

/** What the API's transactions about jobs need. */
export interface JobStore {
  kv: Kv;
  layout: Layout;
  /** UTC ms. */
  now(): number;
  /** Called before a floor is set: throws a Refusal `clock_skewed` where `now` can't be trusted. Left out: it can. */
  trustClock?(): void;
  /**
   * Given what a save has left under owed/, once it is done: may hand it on to History, and must not fail. Left out, or where that does
   * not succeed, a keeper does within two minutes.
   */
  owes?(runs: readonly Run[]): Promise<void>;
}

export interface StoredJob {
  record: JobRecord;
  mod: Revision;
}

/** Refusal `job_unreadable`: what stands under the job's key is not what cronfleet writes. */
export function decodeJob(layout: Layout, entry: Entry): StoredJob {
  const read = readJob(layout, entry);
  if (!read.ok)
    throw new Refusal(
      'job_unreadable',
      `${read.key}: ${read.problem}; expected a job as cronfleet writes it. Take the key away (etcdctl del ${read.key}) and save the job again`,
    );
  return { record: read.record, mod: entry.mod };
}

export function notFound(id: JobId): Refusal {
  return new Refusal('job_not_found', `job: there is no job ${JSON.stringify(id)}`);
}

export const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** `now` as a floor: below it nothing is due, so a clock that is off would lose or repeat instants. */
export function floorAt(store: JobStore, now: number): number {
  store.trustClock?.();
  return now;
}

/**
 * The newest instant that is decided in any lane of the job, or 0. One that was claimed ahead is still to come; from mode one to all, or
 * back, the lanes that decide from now on know nothing of it, and would run it once more.
 */
function newestDecided({ cursors }: Lanes): number {
  return cursors.reduce((newest, read) => (read.ok ? Math.max(newest, read.value.instant) : newest), 0);
}

/** What a save must be judged on beside its job: that `newestDecided` still is. */
export function undecidedSince(
  { layout }: JobStore,
  seen: JobRecord | null,
  job: Job,
  revision: Revision,
): Compare[] {
  if (seen === null || seen.job.mode === job.mode) return [];
  const range = prefixRange(layout.cursorsOf(jobId(job.group, job.name)));
  return [{ ...range, target: 'mod', op: '<', revision: String(BigInt(revision) + 1n) }];
}

/** Whether a save ends the version that stands: what is due then is due no more, or is told by another schedule, or to others. */
export function endsVersion(seen: JobRecord, job: Job): boolean {
  return seen.job.enabled !== job.enabled || movesInstants(seen.job, job) || movesLanes(seen.job, job);
}

/** In mode all who is left out by a new target does not even look any more. */
function movesLanes(before: Job, after: Job): boolean {
  return before.mode === 'all' && !same(after.target, before.target);
}

function movesInstants(before: Job, after: Job): boolean {
  return instantFields.some((field) => !same(after[field], before[field]));
}

/** Whether `now` can be trusted, where a save can do without. */
function isTrusted(store: JobStore): boolean {
  try {
    store.trustClock?.();
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return false;
  }
}

/** What a deleted job leaves; refused by a clock that can't be trusted where there is something to settle by it. */
export function settleDeleted(store: JobStore, seen: JobRecord, lanes: Lanes): Settlement {
  const settlement =
    settle(store.layout, seen, lanes, { why: 'deleted', now: store.now() }) ?? nothingToSettle;
  if (settlement.owed.length > 0) store.trustClock?.();
  return settlement;
}

/** The record of a job whose pause is over, and what that settles: the floor moves to `until`, and what lies below it was paused. */
export function afterPause(
  store: JobStore,
  seen: JobRecord,
  until: number,
  lanes: Lanes,
): { record: JobRecord; settlement: Settlement } {
  const floor = Math.max(until, seen.floor, seen.settled ?? 0);
  const settlement = settle(store.layout, seen, lanes, { why: 'edited', until, now: store.now() });
  const settled = settlement === null ? seen.settled : floor;
  return {
    record: {
      ...{ ...seen, paused: null, floor, floorWhy: 'paused' },
      ...(settled === undefined ? {} : { settled }),
    },
    settlement: settlement ?? nothingToSettle,
  };
}

/**
 * The record that a save makes, and what it settles of the version before it. The floor moves to now where the job is new or enabled, or
 * where anything that decides its instants changed: no burst follows a save. What was due until then and undecided gets its record
 * here, by the schedule that it was due by, and so it does where the job is disabled.
 */
export function recordOf(
  store: JobStore,
  seen: JobRecord | null,
  saved: { job: Job; by: string; revision: Revision; cronExpr: string | null },
  lanes: Lanes,
): { record: JobRecord; settlement: Settlement } {
  const { job, by, revision } = saved;
  const now = store.now();
  const base = { job, revision, updatedAt: now, updatedBy: by };
  if (seen === null) {
    const floor = floorAt(store, now);
    return {
      record: {
        ...{ ...base, floor, floorWhy: 'created', settled: floor, createdAt: now },
        ...{ cronExpr: saved.cronExpr, paused: null, skips: [] },
      },
      settlement: nothingToSettle,
    };
  }
  const enabled = job.enabled && !seen.job.enabled;
  const moved = movesInstants(seen.job, job);
  const floors = enabled || moved;
  // Nor does it go back: below it lies what another lane has decided, by a clock that may have been ahead.
  const decided = seen.job.mode === job.mode ? 0 : newestDecided(lanes);
  const floor = floors ? Math.max(floorAt(store, now), decided, seen.floor, seen.settled ?? 0) : seen.floor;
  // To disable is to stop something: no clock is in the way of that. What it leaves is settled when the job is enabled, edited or deleted.
  const ends = floors || (endsVersion(seen, job) && isTrusted(store));
  const whole = floors || seen.job.enabled !== job.enabled;
  const end = { why: job.enabled ? ('edited' as const) : ('disabled' as const), now };
  const settlement = ends ? settle(store.layout, seen, lanes, whole ? end : { ...end, next: job }) : null;
  const settled = settlement !== null && whole ? Math.max(now, floor, seen.settled ?? 0) : seen.settled;
  const unsettled = settlement === null ? 'edited' : 'created';
  // The course's text stands for the schedule as long as that is the same.
  const kept = same(job.schedule, seen.job.schedule) ? seen.cronExpr : null;
  return {
    record: {
      ...{ ...base, floor, floorWhy: enabled ? 'disabled' : moved ? unsettled : seen.floorWhy },
      ...(settled === undefined ? {} : { settled }),
      ...{ createdAt: seen.createdAt, paused: seen.paused },
      ...{ skips: moved ? [] : seen.skips, cronExpr: saved.cronExpr ?? kept },
    },
    settlement: settlement ?? nothingToSettle,
  };
}
