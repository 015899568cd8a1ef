import * as v from 'valibot';
import { checkJob } from '#core/cluster/check-job.ts';
import { deleteJob, pageOfJobs, saveJob } from '#core/cluster/jobs.ts';
import { listWorkers } from '#core/cluster/workers.ts';
import { fits } from '#core/decide/placement.ts';
import { Job, type JobRecord } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { JobView, listOf } from '../answers.ts';
import { audit } from '../audit.ts';
import { expectType, parseJson, textOf } from '../body.ts';
import { type AppDeps, type Caller, mayTouch, storeOf } from '../deps.ts';
import { flag, name, paging, state } from '../fields.ts';
import { conditionOf, conditions, jobOf, storedJob } from '../job-path.ts';
import { checkNotified } from '../notified.ts';
import { decodeCursor, encodeCursor } from '../paging.ts';
import { type Asked, type Asking, route } from '../route.ts';
import { idOf, jobView, type SeenJob, seeJobs } from '../views.ts';

/** Pages of keys that one request looks through at most, where its filters let little pass; then it answers with less. */
const mostPages = 20;

const listQuery = v.strictObject({
  ...paging,
  group: v.optional(name),
  q: v.optional(v.pipe(v.string(), v.maxLength(200))),
  tag: v.optional(v.pipe(v.string(), v.maxLength(64))),
  enabled: v.optional(flag),
  worker: v.optional(name),
  state: v.optional(state),
});
type ListQuery = v.InferOutput<typeof listQuery>;

/** Whether a job is among those asked for, as far as the job itself tells. */
async function filterOf(
  deps: AppDeps,
  caller: Caller,
  query: ListQuery,
): Promise<(one: JobRecord) => boolean> {
  const { q, tag, enabled, worker } = query;
  const text = q?.toLowerCase();
  const workers = worker === undefined ? [] : await listWorkers(deps.kv, deps.layout, [], deps.clock.now());
  const target =
    worker === undefined ? null : (workers.find(({ id }) => id === worker) ?? { id: worker, labels: {} });
  return ({ job }) =>
    mayTouch(caller, job.group) &&
    (enabled === undefined || job.enabled === enabled) &&
    (tag === undefined || job.tags.includes(tag)) &&
    (target === null || fits(job, target)) &&
    (text === undefined || searched(job).some((one) => one.toLowerCase().includes(text)));
}

function searched({ group, name: jobName, description, owner, command, argv, tags }: Job): string[] {
  return [`${group}/${jobName}`, description, owner, command ?? argv?.join(' ') ?? '', ...tags];
}

/** The state of a job is that of its last run, or of one that lives. */
function isIn({ last, running }: SeenJob, wanted: ListQuery['state']): boolean {
  return wanted === undefined || last?.state === wanted || running.some((run) => run.state === wanted);
}

function unknownState(): Refusal {
  return new Refusal(
    'store_unavailable',
    'state: the history does not answer at the moment, and it alone knows how a job last ended; leave state= out, or try again',
  );
}

async function listJobs({ c, deps, caller, query }: Asked<ListQuery, undefined>): Promise<Response> {
  const { limit, cursor, group } = query;
  const passes = await filterOf(deps, caller, query);
  const found: SeenJob[] = [];
  let blind = false;
  let after = cursor === undefined ? null : decodeCursor(cursor, deps.layout.jobs);
  for (let page = 0; page < mostPages; page += 1) {
    const read = await pageOfJobs(storeOf(deps), { group, after, limit: Math.max(limit, 100) });
    const good = read.jobs.map(({ record }) => record).filter(passes);
    // Where no state is asked for, what would not fit on the page need not be looked at.
    const looked = query.state === undefined ? good.slice(0, limit - found.length + 1) : good;
    const seen = await seeJobs(deps, looked, blind);
    blind ||= seen.some(({ historyAway }) => historyAway);
    if (blind && query.state !== undefined) throw unknownState();
    found.push(...seen.filter((one) => isIn(one, query.state)));
    after = read.more ? read.last : null;
    if (found.length > limit) {
      found.length = limit;
      const end = found.at(-1);
      after = end === undefined ? null : deps.layout.job(idOf(end.record));
    }
    if (after === null || found.length === limit) break;
  }
  const now = deps.clock.now();
  return c.json({
    items: found.map((one) => jobView(now, caller, one)),
    next: after === null ? null : encodeCursor(after),
  });
}

/** One job, with its revision as entity tag. */
export async function answerJob({ c, deps, caller }: Asking, record: JobRecord, status: 200 | 201 = 200) {
  const [seen] = await seeJobs(deps, [record]);
  return c.json(jobView(deps.clock.now(), caller, seen as SeenJob), status, {
    etag: `"${record.revision}"`,
  });
}

/** Group and name may be left to the path. */
const PutJob = v.strictObject({ ...Job.entries, name: v.optional(Job.entries.name) });

export const atJob = '/jobs/:group/:name';

export const jobRoutes = [
  route({
    ...{ method: 'GET', path: '/jobs', role: 'viewer', summary: 'List jobs' },
    ...{ query: listQuery, answer: listOf(JobView), handle: listJobs },
  }),
  route({
    ...{ method: 'GET', path: atJob, role: 'viewer', summary: 'Show a job', answer: JobView },
    ...{ refuses: [409, 412], headers: { 'If-Match': conditions['If-Match'] } },
    async handle(asked) {
      const { record } = await storedJob(asked);
      return answerJob(asked, record);
    },
  }),
  route({
    ...{
      method: 'PUT',
      path: atJob,
      role: 'editor',
      summary: 'Create or replace a job',
      headers: conditions,
    },
    ...{ raw: { 'application/json': PutJob }, answer: JobView, statuses: [200, 201], refuses: [409, 412] },
    async handle(asked) {
      const { c, deps, caller } = asked;
      const { id, group, name: jobName } = jobOf(asked);
      expectType(c, ['application/json']);
      const input = parseJson(await textOf(c));
      const whole =
        typeof input === 'object' && input !== null && !Array.isArray(input)
          ? { group, name: jobName, ...input }
          : input;
      const job = checkJob(whole);
      if (job.group !== group || job.name !== jobName)
        throw new Refusal(
          'job_invalid',
          `name: the body names ${job.group}/${job.name}; expected ${id}, as in the path`,
        );
      await checkNotified(deps, [job]);
      const { before, after } = await saveJob(storeOf(deps), job, {
        by: caller.name,
        condition: conditionOf(asked),
        cronExpr: null,
      });
      await audit(asked, before === null ? 'job.create' : 'job.update', {
        job: id,
        target: id,
        before: before?.job,
        after: after.job,
      });
      return answerJob(asked, after, before === null ? 201 : 200);
    },
  }),
  route({
    ...{ method: 'DELETE', path: atJob, role: 'editor', summary: 'Delete a job', answer: JobView },
    headers: conditions,
    refuses: [409, 412],
    async handle(asked) {
      const { id } = jobOf(asked);
      const last = await deleteJob(storeOf(asked.deps), id, conditionOf(asked));
      await audit(asked, 'job.delete', { job: id, target: id, before: last.job });
      return answerJob(asked, last);
    },
  }),
];
