import { isPaused } from '#core/decide/may-start.ts';
import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { Refusal, refuse } from '#core/model/refusal.ts';
import { type Compare, type Op, prefixRange, type Revision } from '#core/ports/kv.ts';
import { scheduleOf } from './check-job.ts';
import {
  afterPause,
  decodeJob,
  endsVersion,
  floorAt,
  type JobStore,
  notFound,
  recordOf,
  type StoredJob,
  settleDeleted,
  undecidedSince,
} from './job-record.ts';
import { readJob } from './read-key.ts';
import { encodeJob } from './records.ts';
import { type Lanes, noLanes, nothingToSettle, readLanes, type Settlement } from './settle.ts';

export type { JobStore, StoredJob } from './job-record.ts';

/** What an If-Match or If-None-Match asks. */
export interface Condition {
  /** Only over one of these revisions, or over any (`*`). */
  match?: readonly string[] | '*';
  /** Only where there is none yet. */
  absent?: boolean;
}

export interface Saved {
  before: JobRecord | null;
  after: JobRecord;
}

/**
 * Somebody else was faster this many times: then it is a conflict after all. In each round one of those who ask at once has its way, so
 * as many may ask at once; a round costs a read and a transaction that writes nothing.
 */
export const tries = 64;
/** One decision must be able to say all of them apart (see maxOwed in claim.ts). */
const maxSkips = 8;

export async function getJob({ kv, layout }: JobStore, id: JobId): Promise<StoredJob | null> {
  const { entries } = await kv.range({ key: layout.job(id) });
  return entries[0] === undefined ? null : decodeJob(layout, entries[0]);
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
    const read = readJob(layout, entry);
    return read.ok ? [{ record: read.record, mod: entry.mod }] : [];
  });
  return { jobs, last: entries.at(-1)?.key ?? null, more };
}

/** What a transaction makes of a job; `put` null: it goes. */
interface Change<T> {
  put: JobRecord | null;
  answer: T;
  judgedOn?: readonly Compare[];
  settlement?: Settlement;
}

/** Reads, lets `change` say what it shall be, and writes if nobody was faster; else again, and so after a part of what it settles. */
async function update<T>(
  store: JobStore,
  id: JobId,
  change: (seen: StoredJob | null, revision: Revision) => Change<T> | Promise<Change<T>>,
): Promise<T> {
  const key = store.layout.job(id);
  for (let attempt = 1; ; attempt += 1) {
    const { entries, revision } = await store.kv.range({ key });
    const seen = entries[0] === undefined ? null : decodeJob(store.layout, entries[0]);
    const { put, answer, judgedOn = [], settlement = nothingToSettle } = await change(seen, revision);
    // A write that changes nothing would yet refuse the claims that were judged on what stands.
    if (put !== null && put === seen?.record) return answer;
    const written: Op = put === null ? { type: 'delete', key } : { type: 'put', key, value: encodeJob(put) };
    const then = settlement.isPart ? settlement.ops : [written, ...settlement.ops];
    const compare: Compare[] = [
      { key, target: 'mod', op: '=', revision: seen?.mod ?? '0' },
      ...judgedOn,
      ...settlement.judgedOn,
    ];
    if ((await store.kv.txn({ compare, then })).succeeded) {
      if (settlement.owed.length > 0) await store.owes?.(settlement.owed);
      if (!settlement.isPart) return answer;
    }
    if (attempt === tries)
      throw new Refusal('conflict', `job: ${id} is being changed by others at the moment; try again`, {
        retryAfter: 1,
      });
  }
}

async function lanesOf({ kv, layout }: JobStore, record: JobRecord): Promise<Lanes> {
  const { group, name } = record.job;
  return (await readLanes(kv, layout, [record])).get(jobId(group, name)) ?? noLanes;
}

/** Refusals `job_exists` and `revision_conflict`, which name the present revision. */
export function checkCondition(id: JobId, seen: StoredJob | null, { match, absent }: Condition): void {
  const present = seen?.record.revision ?? null;
  const expected = present ?? 'a job that is there';
  if (absent && seen !== null)
    throw new Refusal('job_exists', `If-None-Match: there is a job ${id} already, at revision ${present}`, {
      errors: [{ path: 'If-None-Match', message: 'there is a job already', value: '*', expected }],
    });
  if (match === undefined || (present !== null && (match === '*' || match.includes(present)))) return;
  const value = match === '*' ? match : match.join(', ');
  throw new Refusal(
    'revision_conflict',
    `If-Match: ${JSON.stringify(value)} is not the present revision of ${id}; expected ${expected}`,
    { errors: [{ path: 'If-Match', message: 'not the present revision', value, expected }] },
  );
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
    const before = seen?.record ?? null;
    const lanes = before !== null && endsVersion(before, job) ? await lanesOf(store, before) : noLanes;
    const saved = { job, by: how.by, revision, cronExpr: how.cronExpr };
    const { record: after, settlement } = recordOf(store, before, saved, lanes);
    return {
      put: after,
      answer: { before, after },
      judgedOn: undecidedSince(store, before, job, revision),
      settlement,
    };
  });
}

/** Takes a job away; its cursor stays, and a living run lives on. Refusals `job_not_found`, and `clock_skewed` where something is to be settled. */
export function deleteJob(store: JobStore, id: JobId, condition: Condition): Promise<JobRecord> {
  return update(store, id, async (seen) => {
    if (seen === null) throw notFound(id);
    checkCondition(id, seen, condition);
    const settlement = settleDeleted(store, seen.record, await lanesOf(store, seen.record));
    return { put: null, answer: seen.record, settlement };
  });
}

interface Changed {
  record: JobRecord;
  settlement?: Settlement;
}

function changeJob(
  store: JobStore,
  id: JobId,
  condition: Condition,
  change: (record: JobRecord) => Changed | Promise<Changed>,
): Promise<Saved> {
  return update(store, id, async (seen) => {
    if (seen === null) throw notFound(id);
    checkCondition(id, seen, condition);
    const { record: after, settlement = nothingToSettle } = await change(seen.record);
    return { put: after, answer: { before: seen.record, after }, settlement };
  });
}

/** Leaves its schedule out from now on, until resumed or `until` (UTC ms). */
export async function pauseJob(
  store: JobStore,
  id: JobId,
  pause: { by: string; reason: string; until: number | null },
  condition: Condition = {},
): Promise<Saved> {
  const at = store.now();
  if (pause.until !== null && pause.until <= at)
    throw refuse(
      'until_invalid',
      'until',
      new Date(pause.until).toISOString(),
      'a time that is still to come',
    );
  return changeJob(store, id, condition, async (seen) => {
    const { record, ...rest } = await pastPause(store, seen, at);
    return { ...rest, record: { ...record, paused: { ...pause, at } } };
  });
}

/** A pause that ran out by itself: what it covered stays covered, whether somebody has decided it or not. */
async function pastPause(store: JobStore, record: JobRecord, now: number): Promise<Changed> {
  const until = record.paused?.until ?? null;
  if (until === null || isPaused(record.paused, now)) return { record };
  if (until - 1 <= record.floor) return { record: { ...record, paused: null } };
  // By a clock that is ahead it is over too early, and what is still to come would be called paused.
  store.trustClock?.();
  return afterPause(store, record, until - 1, await lanesOf(store, record));
}

/** Goes on with its schedule from now; what was paused is not made up for. */
export function resumeJob(store: JobStore, id: JobId, condition: Condition = {}): Promise<Saved> {
  return changeJob(store, id, condition, async (record) => {
    if (!isPaused(record.paused, store.now())) return pastPause(store, record, store.now());
    const lanes = await lanesOf(store, record);
    return afterPause(store, record, floorAt(store, store.now()), lanes);
  });
}

/** Leaves one coming instant out. Refusals: `instant_past`, `instant_unknown`, `skips_full`. */
export function skipInstant(
  store: JobStore,
  id: JobId,
  instant: number,
  condition: Condition = {},
): Promise<Saved> {
  return changeJob(store, id, condition, (record) => {
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
    return { record: { ...record, skips } };
  });
}
