import type { Job } from '#core/model/job.ts';
import type { WorkerRecord } from '#core/model/worker.ts';

/** What is known of a worker that might run something. */
export interface Candidate {
  worker: WorkerRecord;
  draining: boolean;
}

/** A worker further off reference time claims nothing (P4). */
export const maxSkewMs = 500;

/** FNV-1a, once per job and once per worker: pairs are mixed from these, never digested. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** The weight of a worker for a job: murmur3's finaliser over both hashes, so that all bits count. */
function weigh(job: number, worker: number): number {
  let mixed = job ^ Math.imul(worker, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Whether the job's target names this worker, by id and by labels. */
export function fits(job: Pick<Job, 'target'>, worker: Pick<WorkerRecord, 'id' | 'labels'>): boolean {
  const { workers, labels } = job.target;
  if (workers.length > 0 && !workers.includes(worker.id)) return false;
  return Object.entries(labels).every(([key, wanted]) => {
    const has = worker.labels[key];
    return has !== undefined && (typeof wanted === 'string' ? has === wanted : wanted.includes(has));
  });
}

/** Zone data of the majority; a tie goes to the newer. */
export function commonTzdata(workers: readonly Pick<WorkerRecord, 'tzdata'>[]): string {
  const votes = new Map<string, number>();
  for (const { tzdata } of workers) votes.set(tzdata, (votes.get(tzdata) ?? 0) + 1);
  const ranked = [...votes].sort(([a, m], [b, n]) => n - m || (a < b ? 1 : -1));
  return ranked[0]?.[0] ?? '';
}

/** Who may try the jobs of one kind, in no order. */
export interface Pool {
  members: ReadonlyMap<string, { full: boolean; hash: number }>;
  /** False: nobody is fit to run such jobs, and the members say who keeps their books. */
  runnable: boolean;
}

/** Jobs with one key have one pool: with 1,000 workers and 100,000 jobs nobody can look at each pair whenever a worker comes or goes. */
export function poolKey({ target, timezone }: Pick<Job, 'target' | 'timezone'>): string {
  const { workers, labels } = target;
  const zoned = timezone === 'UTC' ? '' : 'zoned';
  for (const _ in labels) return zoned + JSON.stringify(target);
  return workers.length === 0 ? zoned : zoned + JSON.stringify(target);
}

/** Pure: every worker with the same view gets the same answer. */
export function poolFor(
  job: Pick<Job, 'target' | 'timezone'>,
  candidates: readonly (Candidate & { hash: number })[],
  tzdata: string,
): Pool {
  const zoned = job.timezone !== 'UTC';
  const able = candidates.filter(
    ({ worker, draining }) =>
      worker.state === 'live' &&
      !draining &&
      Math.abs(worker.clockSkewMs ?? 0) <= maxSkewMs &&
      (!zoned || worker.tzdata === tzdata) &&
      fits(job, worker),
  );
  const runnable = able.length > 0;
  const pool = runnable ? able : candidates;
  return { members: new Map(pool.map(({ worker: { id, full }, hash }) => [id, { full, hash }])), runnable };
}

/**
 * The place of worker `id` in who tries a job of this pool, 0 being its home; null: it is not among the first `places`. Stops at the
 * `places`th that comes before it, so it costs about twice `places` looks, however many workers there are.
 */
export function placeIn({ members }: Pool, jobHash: number, id: string, places: number): number | null {
  const me = members.get(id);
  if (me === undefined) return null;
  const weight = weigh(jobHash, me.hash);
  let before = 0;
  for (const [other, { full, hash }] of members) {
    if (other === id) continue;
    // Who is full comes last, and is not unfit: where all are, somebody's next free slot is what it waits for.
    const theirs = full === me.full ? weigh(jobHash, hash) : full ? -1 : Number.POSITIVE_INFINITY;
    if (theirs > weight || (theirs === weight && other < id)) before += 1;
    if (before === places) return null;
  }
  return before;
}
