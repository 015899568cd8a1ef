import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { Refusal, refuse } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import { type Compare, type Op, prefixRange, type Revision } from '#core/ports/kv.ts';
import {
  decodeJob,
  endsVersion,
  type JobStore,
  recordOf,
  type StoredJob,
  same,
  settleDeleted,
} from './job-record.ts';
import { pageOfJobs, tries } from './jobs.ts';
import { readMany } from './read-many.ts';
import { encodeJob } from './records.ts';
import { noLanes, nothingToSettle, readLanes, type Settlement } from './settle.ts';

export interface Applied {
  id: JobId;
  action: 'create' | 'update' | 'delete' | 'unchanged';
  before: Job | null;
  after: Job | null;
}

type Planned = Applied & { seen: StoredJob | null };

/** At most so many changes are one transaction; of more, a repeat finishes what a fault cut off. */
const changesAtOnce = 100;
/** What the 128 operations of a path leave to a nested transaction beside the hundred around it, and the compare that all share. */
const nestedMost = 25;
/** A store takes 1.5 MiB in one request. */
const charsAtOnce = 1_000_000;

/** What has been written, however often the rest had to be planned anew. */
interface Done {
  changes: Map<JobId, Applied>;
  owed: Run[];
}

/** The revision at which a job was seen by whoever asks for its change; null: it was not there. */
export type SeenAt = ReadonlyMap<JobId, Revision | null>;

/**
 * Makes the store's jobs those given, checked before the first write. `prune` names the group whose other jobs go, `gone` jobs that go with
 * the same transaction, where they are there. Refusal `revision_conflict` where one that would change is not as it was `seen`.
 */
export async function applyJobs(
  store: JobStore,
  jobs: readonly Job[],
  how: { by: string; dryRun: boolean; prune: string | null; gone?: readonly JobId[]; seen?: SeenAt },
): Promise<Applied[]> {
  const done: Done = { changes: new Map(), owed: [] };
  for (let attempt = 1; ; attempt += 1) {
    const { plan, revision } = await planApply(store, jobs, how.prune, how.gone ?? []);
    const changes = plan.filter(({ action }) => action !== 'unchanged');
    // What an earlier round wrote is not as it was seen, by us.
    if (how.seen)
      checkSeen(
        changes.filter(({ id }) => !done.changes.has(id)),
        how.seen,
      );
    if (how.dryRun || (await write(store, changes, revision, how.by, done))) {
      if (done.owed.length > 0) await store.owes?.(done.owed);
      const last = plan.map(({ seen: _, ...one }) => done.changes.get(one.id) ?? one);
      // What an earlier round deleted is in no later plan.
      const planned = new Set(plan.map(({ id }) => id));
      return [...last, ...[...done.changes.values()].filter(({ id }) => !planned.has(id))];
    }
    if (attempt === tries)
      throw new Refusal('conflict', 'jobs are being changed by others at the moment; try again', {
        retryAfter: 1,
      });
  }
}

function checkSeen(changes: readonly Planned[], asked: SeenAt): void {
  for (const { id, seen } of changes) {
    const [value, present] = [asked.get(id), seen?.record.revision ?? null];
    if (value === undefined || value === present) continue;
    throw refuse('revision_conflict', `seen.${id}`, value, `its present revision, ${present}`);
  }
}

/** What would change, and the revision after which nothing may have changed when it is written. */
async function planApply(
  store: JobStore,
  jobs: readonly Job[],
  prune: string | null,
  gone: readonly JobId[],
): Promise<{ plan: Planned[]; revision: Revision }> {
  const { kv, layout } = store;
  const plan: Planned[] = [];
  const named = new Set<JobId>();
  for (const id of [...jobs.map((job) => jobId(job.group, job.name)), ...gone]) {
    if (named.has(id)) throw refuse('job_twice', 'jobs', id, 'each job once');
    named.add(id);
  }
  const { revision } = await kv.range({ key: layout.jobs }, { countOnly: true });
  const found = await readMany(
    kv,
    [...named].map((id) => ({ key: layout.job(id) })),
  );
  jobs.forEach((job, at) => {
    const entry = found[at]?.[0];
    const seen = entry === undefined ? null : decodeJob(layout, entry);
    const before = seen?.record.job ?? null;
    const action = before === null ? 'create' : same(before, job) ? 'unchanged' : 'update';
    plan.push({ id: jobId(job.group, job.name), seen, before, after: job, action });
  });
  gone.forEach((id, at) => {
    const entry = found[jobs.length + at]?.[0];
    if (entry === undefined) return;
    const seen = decodeJob(layout, entry);
    plan.push({ id, seen, before: seen.record.job, after: null, action: 'delete' });
  });
  if (prune === null) return { plan, revision };
  for (let from: string | null = null; ; ) {
    const { jobs: page, last, more } = await pageOfJobs(store, { group: prune, after: from, limit: 500 });
    for (const seen of page) {
      const { job } = seen.record;
      const id = jobId(job.group, job.name);
      if (!named.has(id)) plan.push({ id, seen, before: job, after: null, action: 'delete' });
    }
    if (!more) return { plan, revision };
    from = last;
  }
}

/** False: somebody wrote meanwhile, or a part of what is settled came first, and the rest has to be planned anew. What has been written is in `done`. */
async function write(
  store: JobStore,
  changes: readonly Planned[],
  revision: Revision,
  by: string,
  done: Done,
): Promise<boolean> {
  const jobs = prefixRange(store.layout.jobs);
  let seenAt = revision;
  let isWhole = true;
  for (let from = 0; from < changes.length; from += changesAtOnce) {
    const writes = await writesOf(store, changes.slice(from, from + changesAtOnce), revision, by);
    for (const slice of slices(writes)) {
      // Nobody has touched any job since it was read: neither those that change nor those found unchanged, or not there.
      const compare: Compare[] = [
        { ...jobs, target: 'mod', op: '<', revision: after(seenAt) },
        ...new Set(slice.flatMap(({ settlement }) => settlement.judgedOn)),
      ];
      const written = await store.kv.txn({ compare, then: slice.flatMap(({ ops }) => ops) });
      if (!written.succeeded) return false;
      seenAt = written.revision;
      for (const { change, settlement } of slice) {
        if (settlement.isPart) continue;
        const { seen: _, ...applied } = change;
        done.changes.set(change.id, applied);
      }
      done.owed.push(...slice.flatMap(({ settlement }) => settlement.owed));
      isWhole &&= !slice.some(({ settlement }) => settlement.isPart);
    }
  }
  return isWhole;
}

type Write = { ops: Op[]; settlement: Settlement; change: Planned };

/** Each with what it settles, by lanes that are read at once: the longer ago that is, the more of them have been decided since. */
async function writesOf(
  store: JobStore,
  changes: readonly Planned[],
  revision: Revision,
  by: string,
): Promise<Write[]> {
  const { kv, layout } = store;
  const ending = changes.flatMap(({ seen, after: job }) =>
    seen !== null && (job === null || endsVersion(seen.record, job)) ? [seen.record] : [],
  );
  const lanes = await readLanes(kv, layout, ending);
  return changes.map((change): Write => {
    const { id, seen, after: job } = change;
    const key = layout.job(id);
    const known = lanes.get(id) ?? noLanes;
    if (job === null) {
      const settlement = seen === null ? nothingToSettle : settleDeleted(store, seen.record, known);
      const ops: Op[] = settlement.isPart ? settlement.ops : [{ type: 'delete', key }, ...settlement.ops];
      return { ops: together(ops), settlement, change };
    }
    const saved = { job, by, revision, cronExpr: null };
    const { record, settlement } = recordOf(store, seen?.record ?? null, saved, known);
    const put: Op = { type: 'put', key, value: encodeJob(record) };
    return { ops: together([put, ...settlement.ops]), settlement, change };
  });
}

/**
 * What a job's change writes, as few operations of its request: those within a nested transaction count with its own path only. So a
 * hundred changes are one transaction, though each settles something.
 */
function together(ops: readonly Op[]): Op[] {
  if (ops.length === 1) return [...ops];
  const parts: Op[] = [];
  for (let from = 0; from < ops.length; from += nestedMost)
    parts.push({ type: 'txn', txn: { compare: [], then: ops.slice(from, from + nestedMost) } });
  return parts;
}

function slices(writes: readonly Write[]): Write[][] {
  const made: Write[][] = [];
  for (const write of writes) {
    const last = made.at(-1);
    if (last !== undefined && fits([...last, write])) last.push(write);
    else made.push([write]);
  }
  return made;
}

function fits(slice: readonly Write[]): boolean {
  const ops = slice.flatMap((write) => write.ops);
  const compares = new Set(slice.flatMap(({ settlement }) => settlement.judgedOn));
  return charsOf(ops) <= charsAtOnce && Math.max(ops.length, compares.size) <= changesAtOnce;
}

function charsOf(ops: readonly Op[]): number {
  return ops.reduce(
    (sum, op) => sum + (op.type === 'put' ? op.value.length : op.type === 'txn' ? charsOf(op.txn.then) : 0),
    0,
  );
}

/** The revision after this one: revisions are decimal text of up to 64 bits. */
function after(revision: Revision): Revision {
  return String(BigInt(revision) + 1n);
}
