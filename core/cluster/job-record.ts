import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { type Compare, type Entry, type Kv, prefixRange, type Revision } from '#core/ports/kv.ts';
import { instantFields, scheduleOf } from './check-job.ts';
import { type Layout, oneLane } from './keys.ts';
import { readCursor, readJob } from './read-key.ts';

/** What the API's transactions about jobs need. */
export interface JobStore {
  kv: Kv;
  layout: Layout;
  /** UTC ms. */
  now(): number;
  /** Called before a floor is set: throws a Refusal `clock_skewed` where `now` can't be trusted. Left out: it can. */
  trustClock?(): void;
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
 * Whether the old job has instants that were due and that nobody has decided: only then the floor has something below it to account
 * for. What an earlier move of the floor has left there counts, too.
 */
async function leavesUndecided({ kv, layout, now }: JobStore, before: JobRecord): Promise<boolean> {
  const { entries } = await kv.range({
    key: layout.cursor(jobId(before.job.group, before.job.name), oneLane),
  });
  const read = entries[0] === undefined ? null : readCursor(layout, entries[0]);
  const cursor = read?.ok ? read.value.instant : before.createdAt;
  if (before.floorWhy !== 'created' && cursor < before.floor) return true;
  const newest = scheduleOf(before.job)?.prev(now() + 1) ?? null;
  return newest !== null && newest > Math.max(cursor, before.floor);
}

/**
 * The newest instant that is decided in any lane of the job, or 0. One that was claimed ahead is still to come; from mode one to all, or
 * back, the lanes that decide from now on know nothing of it, and would run it once more.
 */
async function newestDecided({ kv, layout }: JobStore, id: JobId): Promise<number> {
  const { entries } = await kv.range(prefixRange(layout.cursorsOf(id)));
  return entries.reduce((newest, entry) => {
    const read = readCursor(layout, entry);
    return read.ok ? Math.max(newest, read.value.instant) : newest;
  }, 0);
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

/**
 * The record that a save makes. The floor moves to now where the job is new or enabled, or where anything that decides its instants
 * changed: no burst follows a save. The cursor is never touched.
 */
export async function recordOf(
  store: JobStore,
  seen: JobRecord | null,
  saved: { job: Job; by: string; revision: Revision; cronExpr: string | null },
): Promise<JobRecord> {
  const { job, by, revision } = saved;
  const now = store.now();
  const base = { job, revision, updatedAt: now, updatedBy: by };
  if (seen === null)
    return {
      ...{ ...base, floor: floorAt(store, now), floorWhy: 'created', createdAt: now },
      ...{ cronExpr: saved.cronExpr, paused: null, skips: [] },
    };
  const enabled = job.enabled && !seen.job.enabled;
  const moved = instantFields.some((field) => !same(job[field], seen.job[field]));
  const decided = seen.job.mode === job.mode ? 0 : await newestDecided(store, jobId(job.group, job.name));
  // Nor does it go back: below it lies what another lane has decided, by a clock that may have been ahead.
  const floor = enabled || moved ? Math.max(floorAt(store, now), decided, seen.floor) : seen.floor;
  const floorWhy = enabled
    ? 'disabled'
    : !moved
      ? seen.floorWhy
      : (await leavesUndecided(store, seen))
        ? 'edited'
        : 'created';
  // The course's text stands for the schedule as long as that is the same.
  const kept = same(job.schedule, seen.job.schedule) ? seen.cronExpr : null;
  return {
    ...{ ...base, floor, floorWhy, createdAt: seen.createdAt, paused: seen.paused },
    ...{ skips: moved ? [] : seen.skips, cronExpr: saved.cronExpr ?? kept },
  };
}
