import { isPaused } from '#core/decide/may-start.ts';
import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { Refusal, refuse } from '#core/model/refusal.ts';
import { type Compare, type Kv, type Op, prefixRange, type Revision } from '#core/ports/kv.ts';
import { instantFields, scheduleOf } from './check-job.ts';
import { type Layout, oneLane } from './keys.ts';
import { CursorValue, decode, JobValue } from './records.ts';

/** What the API's transactions about jobs need. */
export interface JobStore {
  kv: Kv;
  layout: Layout;
  /** UTC ms. */
  now(): number;
}

export interface StoredJob {
  record: JobRecord;
  mod: Revision;
}

/** What an If-Match or If-None-Match asks. */
export interface Condition {
  /** Only over this revision. */
  match?: string;
  /** Only where there is none yet. */
  absent?: boolean;
}

export interface Saved {
  before: JobRecord | null;
  after: JobRecord;
}

/** Somebody else was faster this many times: then it is a conflict after all. */
const tries = 8;
/** One decision must be able to say all of them apart (see maxOwed in claim.ts). */
const maxSkips = 8;

function decodeJob(entry: Parameters<typeof decode>[1]): StoredJob {
  const read = decode(JobValue, entry);
  if (!read.ok)
    throw new Refusal(
      'job_unreadable',
      `${read.key}: ${read.problem}; expected a job as cronfleet writes it`,
    );
  return { record: read.value, mod: entry.mod };
}

export async function getJob({ kv, layout }: JobStore, id: JobId): Promise<StoredJob | null> {
  const { entries } = await kv.range({ key: layout.job(id) });
  return entries[0] === undefined ? null : decodeJob(entries[0]);
}

export function notFound(id: JobId): Refusal {
  return new Refusal('job_not_found', `job: there is no job ${JSON.stringify(id)}`);
}

/** Jobs in order of their keys, `limit` at a time, from after `after`; keys that can't be read are passed over. */
export async function pageOfJobs(
  { kv, layout }: JobStore,
  { group, after, limit }: { group?: string | undefined; after: string | null; limit: number },
): Promise<{ jobs: StoredJob[]; last: string | null; more: boolean }> {
  const range = prefixRange(group === undefined ? layout.jobs : `${layout.jobs}${group}/`);
  const from = after === null ? range.key : `${after}\0`;
  const { entries, more } = await kv.range(
    { key: from > range.key ? from : range.key, end: range.end },
    { limit },
  );
  const jobs = entries.flatMap((entry) => {
    const read = decode(JobValue, entry);
    return read.ok ? [{ record: read.value, mod: entry.mod }] : [];
  });
  return { jobs, last: entries.at(-1)?.key ?? null, more };
}

/** Reads, lets `change` say what it shall be, and writes if nobody was faster; else again. */
async function update<T>(
  store: JobStore,
  id: JobId,
  change: (seen: StoredJob | null, revision: Revision) => Promise<{ put: JobRecord | null; answer: T }>,
): Promise<T> {
  const key = store.layout.job(id);
  for (let attempt = 1; ; attempt += 1) {
    const { entries, revision } = await store.kv.range({ key });
    const seen = entries[0] === undefined ? null : decodeJob(entries[0]);
    const { put, answer } = await change(seen, revision);
    const then: Op[] =
      put === null ? [{ type: 'delete', key }] : [{ type: 'put', key, value: JSON.stringify(put) }];
    const compare: Compare[] = [{ key, target: 'mod', op: '=', revision: seen?.mod ?? '0' }];
    if ((await store.kv.txn({ compare, then })).succeeded) return answer;
    if (attempt === tries)
      throw new Refusal(
        'revision_conflict',
        `job: ${id} is being changed by others at the moment; try again`,
        { retryAfter: 1 },
      );
  }
}

function checkCondition(id: JobId, seen: StoredJob | null, { match, absent }: Condition): void {
  const present = seen?.record.revision ?? null;
  if (absent && seen !== null)
    throw new Refusal('job_exists', `If-None-Match: there is a job ${id} already, at revision ${present}`);
  if (match !== undefined && match !== present)
    throw new Refusal(
      'revision_conflict',
      `If-Match: ${JSON.stringify(match)} is not the present revision of ${id}; expected ${present ?? 'a job that is there'}`,
      {
        errors: [
          {
            path: 'If-Match',
            message: 'not the present revision',
            value: match,
            expected: present ?? 'none',
          },
        ],
      },
    );
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/**
 * Whether the old job has instants that were due and that nobody has decided: only then the floor has something below it to account
 * for. What an earlier move of the floor has left there counts, too.
 */
async function leavesUndecided({ kv, layout, now }: JobStore, before: JobRecord): Promise<boolean> {
  const { entries } = await kv.range({
    key: layout.cursor(jobId(before.job.group, before.job.name), oneLane),
  });
  const read = entries[0] === undefined ? null : decode(CursorValue, entries[0]);
  const cursor = read?.ok ? read.value.instant : before.createdAt;
  if (before.floorWhy !== 'created' && cursor < before.floor) return true;
  const newest = scheduleOf(before.job)?.prev(now() + 1) ?? null;
  return newest !== null && newest > Math.max(cursor, before.floor);
}

/**
 * The record that a save makes. The floor moves to now where the job is new or enabled, or where anything that decides its instants
 * changed: no burst follows a save. The cursor is never touched.
 */
async function recordOf(
  store: JobStore,
  seen: JobRecord | null,
  saved: { job: Job; by: string; revision: Revision; cronExpr: string | null },
): Promise<JobRecord> {
  const { job, by, revision, cronExpr } = saved;
  const now = store.now();
  const base = { job, revision, updatedAt: now, updatedBy: by, cronExpr };
  if (seen === null)
    return { ...base, floor: now, floorWhy: 'created', paused: null, skips: [], createdAt: now };
  const enabled = job.enabled && !seen.job.enabled;
  const moved = instantFields.some((field) => !same(job[field], seen.job[field]));
  const floor = enabled || moved ? now : seen.floor;
  const floorWhy = enabled
    ? 'disabled'
    : !moved
      ? seen.floorWhy
      : (await leavesUndecided(store, seen))
        ? 'edited'
        : 'created';
  const skips = moved ? [] : seen.skips;
  return { ...base, floor, floorWhy, skips, paused: seen.paused, createdAt: seen.createdAt };
}

/** Creates or replaces a job. Refusals: `revision_conflict`, `job_exists`. */
export function saveJob(
  store: JobStore,
  job: Job,
  how: { by: string; condition: Condition; cronExpr: string | null },
): Promise<Saved> {
  const id = jobId(job.group, job.name);
  return update(store, id, async (seen, revision) => {
    checkCondition(id, seen, how.condition);
    const after = await recordOf(store, seen?.record ?? null, {
      job,
      by: how.by,
      revision,
      cronExpr: how.cronExpr,
    });
    return { put: after, answer: { before: seen?.record ?? null, after } };
  });
}

/** Takes a job away; its cursor stays, and a living run lives on. Refusal `job_not_found`. */
export function deleteJob(store: JobStore, id: JobId, condition: Condition): Promise<JobRecord> {
  return update(store, id, async (seen) => {
    if (seen === null) throw notFound(id);
    checkCondition(id, seen, condition);
    return { put: null, answer: seen.record };
  });
}

function changeJob(store: JobStore, id: JobId, change: (record: JobRecord) => JobRecord): Promise<Saved> {
  return update(store, id, async (seen) => {
    if (seen === null) throw notFound(id);
    const after = change(seen.record);
    return { put: after, answer: { before: seen.record, after } };
  });
}

/** Leaves its schedule out from now on, until resumed or `until` (UTC ms). */
export function pauseJob(
  store: JobStore,
  id: JobId,
  pause: { by: string; reason: string; until: number | null },
): Promise<Saved> {
  const at = store.now();
  if (pause.until !== null && pause.until <= at)
    throw refuse(
      'until_invalid',
      'until',
      new Date(pause.until).toISOString(),
      'a time that is still to come',
    );
  return changeJob(store, id, (record) => ({ ...record, paused: { ...pause, at } }));
}

/** Goes on with its schedule from now; what was paused is not made up for. */
export function resumeJob(store: JobStore, id: JobId): Promise<Saved> {
  return changeJob(store, id, (record) => {
    const now = store.now();
    const until = record.paused?.until ?? null;
    // A pause that ran out by itself: what it covered stays covered, whoever has decided it or not.
    if (!isPaused(record.paused, now))
      return until === null || until - 1 <= record.floor
        ? { ...record, paused: null }
        : { ...record, paused: null, floor: until - 1, floorWhy: 'paused' };
    return { ...record, paused: null, floor: now, floorWhy: 'paused' };
  });
}

/** Leaves one coming instant out. Refusals: `instant_past`, `instant_unknown`, `skips_full`. */
export function skipInstant(store: JobStore, id: JobId, instant: number): Promise<Saved> {
  return changeJob(store, id, (record) => {
    const now = store.now();
    const shown = new Date(instant).toISOString();
    if (instant <= now) throw refuse('instant_past', 'instant', shown, 'an instant that is still to come');
    const schedule = scheduleOf(record.job);
    const next = schedule?.next(instant - 1) ?? null;
    if (next !== instant)
      throw refuse(
        'instant_unknown',
        'instant',
        shown,
        next === null
          ? 'an instant of a schedule, which this job has not'
          : `an instant of its schedule; the next one is ${new Date(next).toISOString()}`,
      );
    const skips = [...new Set([...record.skips.filter((at) => at > now - 86_400_000), instant])].sort(
      (a, b) => a - b,
    );
    if (skips.length > maxSkips)
      throw new Refusal(
        'skips_full',
        `instant: ${maxSkips} instants of ${id} are left out already; expected at most ${maxSkips}, pause the job instead`,
      );
    return { ...record, skips };
  });
}

export type Applied = {
  id: JobId;
  action: 'create' | 'update' | 'delete' | 'unchanged';
  before: Job | null;
  after: Job | null;
};

/** At most so many changes are one transaction; of more, a repeat finishes what a fault cut off. */
const changesAtOnce = 100;

/** Makes the store's jobs those given, checked before the first write. `prune` names the group whose other jobs go. */
export async function applyJobs(
  store: JobStore,
  jobs: readonly Job[],
  how: { by: string; dryRun: boolean; prune: string | null },
): Promise<Applied[]> {
  for (let attempt = 1; ; attempt += 1) {
    const { plan, revision } = await planApply(store, jobs, how);
    const changes = plan.filter(({ action }) => action !== 'unchanged');
    if (how.dryRun || changes.length === 0 || (await write(store, plan, revision, how.by))) return plan;
    if (attempt === tries)
      throw new Refusal('revision_conflict', 'jobs are being changed by others at the moment; try again', {
        retryAfter: 1,
      });
  }
}

async function planApply(store: JobStore, jobs: readonly Job[], { prune }: { prune: string | null }) {
  const plan: (Applied & { seen: StoredJob | null })[] = [];
  const named = new Set<JobId>();
  let revision = '0';
  for (const job of jobs) {
    const id = jobId(job.group, job.name);
    if (named.has(id)) throw refuse('job_twice', 'jobs', id, 'each job once');
    named.add(id);
    const read = await store.kv.range({ key: store.layout.job(id) });
    revision = revision === '0' ? read.revision : revision;
    const seen = read.entries[0] === undefined ? null : decodeJob(read.entries[0]);
    const before = seen?.record.job ?? null;
    plan.push({
      id,
      seen,
      before,
      after: job,
      action: before === null ? 'create' : same(before, job) ? 'unchanged' : 'update',
    });
  }
  if (prune !== null) {
    const { entries, revision: at } = await store.kv.range(prefixRange(`${store.layout.jobs}${prune}/`));
    revision = revision === '0' ? at : revision;
    for (const entry of entries) {
      const seen = decodeJob(entry);
      const id = jobId(seen.record.job.group, seen.record.job.name);
      if (!named.has(id)) plan.push({ id, seen, before: seen.record.job, after: null, action: 'delete' });
    }
  }
  return { plan, revision };
}

async function write(
  store: JobStore,
  plan: readonly (Applied & { seen: StoredJob | null })[],
  revision: Revision,
  by: string,
): Promise<boolean> {
  const changes = plan.filter(({ action }) => action !== 'unchanged');
  for (let from = 0; from < changes.length; from += changesAtOnce) {
    const slice = changes.slice(from, from + changesAtOnce);
    const then: Op[] = [];
    for (const { id, seen, after } of slice) {
      const key = store.layout.job(id);
      if (after === null) then.push({ type: 'delete', key });
      else
        then.push({
          type: 'put',
          key,
          value: JSON.stringify(
            await recordOf(store, seen?.record ?? null, { job: after, by, revision, cronExpr: null }),
          ),
        });
    }
    const compare: Compare[] = slice.map(({ id, seen }) => ({
      key: store.layout.job(id),
      target: 'mod',
      op: '=',
      revision: seen?.mod ?? '0',
    }));
    if (!(await store.kv.txn({ compare, then })).succeeded) return false;
  }
  return true;
}
