import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { Refusal, refuse } from '#core/model/refusal.ts';
import { type Compare, type Op, prefixRange, type Revision } from '#core/ports/kv.ts';
import { decodeJob, type JobStore, recordOf, type StoredJob, same } from './job-record.ts';
import { pageOfJobs, tries } from './jobs.ts';
import { readMany } from './read-many.ts';
import { encodeJob } from './records.ts';

export interface Applied {
  id: JobId;
  action: 'create' | 'update' | 'delete' | 'unchanged';
  before: Job | null;
  after: Job | null;
}

type Planned = Applied & { seen: StoredJob | null };

/** At most so many changes are one transaction; of more, a repeat finishes what a fault cut off. */
const changesAtOnce = 100;
/** A store takes 1.5 MiB in one request. */
const charsAtOnce = 1_000_000;

/** Makes the store's jobs those given, checked before the first write. `prune` names the group whose other jobs go. */
export async function applyJobs(
  store: JobStore,
  jobs: readonly Job[],
  how: { by: string; dryRun: boolean; prune: string | null },
): Promise<Applied[]> {
  const done = new Map<JobId, Applied>();
  for (let attempt = 1; ; attempt += 1) {
    const { plan, revision } = await planApply(store, jobs, how.prune);
    const changes = plan.filter(({ action }) => action !== 'unchanged');
    if (how.dryRun || (await write(store, changes, revision, how.by, done)))
      return plan.map(({ seen: _, ...one }) => done.get(one.id) ?? one);
    if (attempt === tries)
      throw new Refusal('conflict', 'jobs are being changed by others at the moment; try again', {
        retryAfter: 1,
      });
  }
}

/** What would change, and the revision after which nothing may have changed when it is written. */
async function planApply(
  store: JobStore,
  jobs: readonly Job[],
  prune: string | null,
): Promise<{ plan: Planned[]; revision: Revision }> {
  const { kv, layout } = store;
  const plan: Planned[] = [];
  const named = new Set<JobId>();
  for (const job of jobs) {
    const id = jobId(job.group, job.name);
    if (named.has(id)) throw refuse('job_twice', 'jobs', id, 'each job once');
    named.add(id);
  }
  const { revision } = await kv.range({ key: layout.jobs }, { countOnly: true });
  const found = await readMany(
    kv,
    jobs.map((job) => ({ key: layout.job(jobId(job.group, job.name)) })),
  );
  jobs.forEach((job, at) => {
    const entry = found[at]?.[0];
    const seen = entry === undefined ? null : decodeJob(layout, entry);
    const before = seen?.record.job ?? null;
    const action = before === null ? 'create' : same(before, job) ? 'unchanged' : 'update';
    plan.push({ id: jobId(job.group, job.name), seen, before, after: job, action });
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

/** False: somebody wrote meanwhile, and the rest has to be planned anew. What has been written is in `done`. */
async function write(
  store: JobStore,
  changes: readonly Planned[],
  revision: Revision,
  by: string,
  done: Map<JobId, Applied>,
): Promise<boolean> {
  const jobs = prefixRange(store.layout.jobs);
  let seenAt = revision;
  for (const slice of await slices(store, changes, revision, by)) {
    // Nobody has touched any job since it was read: neither those that change nor those found unchanged, or not there.
    const compare: Compare[] = [{ ...jobs, target: 'mod', op: '<', revision: after(seenAt) }];
    const written = await store.kv.txn({ compare, then: slice.map(({ op }) => op) });
    if (!written.succeeded) return false;
    seenAt = written.revision;
    for (const { change } of slice) {
      const { seen: _, ...applied } = change;
      done.set(change.id, applied);
    }
  }
  return true;
}

type Write = { op: Op; change: Planned };

async function slices(
  store: JobStore,
  changes: readonly Planned[],
  revision: Revision,
  by: string,
): Promise<Write[][]> {
  const made: Write[][] = [];
  let chars = 0;
  for (const change of changes) {
    const { id, seen, after: job } = change;
    const key = store.layout.job(id);
    const record =
      job && (await recordOf(store, seen?.record ?? null, { job, by, revision, cronExpr: null }));
    const op: Op = record === null ? { type: 'delete', key } : { type: 'put', key, value: encodeJob(record) };
    const size = op.type === 'put' ? op.value.length : 0;
    const last = made.at(-1);
    if (last === undefined || last.length === changesAtOnce || chars + size > charsAtOnce) {
      made.push([{ op, change }]);
      chars = size;
    } else {
      last.push({ op, change });
      chars += size;
    }
  }
  return made;
}

/** The revision after this one: revisions are decimal text of up to 64 bits. */
function after(revision: Revision): Revision {
  return String(BigInt(revision) + 1n);
}
