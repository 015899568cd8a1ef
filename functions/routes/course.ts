import type { Context } from 'hono';
import * as v from 'valibot';
import { checkJob } from '#core/cluster/check-job.ts';
import { deleteJob, getJob, pageOfJobs, saveJob } from '#core/cluster/jobs.ts';
import { askKill, livingRuns } from '#core/cluster/kills.ts';
import { listWorkers } from '#core/cluster/workers.ts';
import { jobId, namePattern } from '#core/model/ids.ts';
import { Refusal, refuse } from '#core/model/refusal.ts';
import { parseCourseExpression } from '#core/schedule/course.ts';
import { Errno } from '../answers.ts';
import { audit } from '../audit.ts';
import { checkEncoded, expectType, parseBy, parseJson, textOf } from '../body.ts';
import { courseJob, courseLogs } from '../course-views.ts';
import { checkGroup, type Env, storeOf } from '../deps.ts';
import { number } from '../fields.ts';
import { unlessAway } from '../in-time.ts';
import { storeRefusal } from '../problem.ts';
import { type Asking, type Route, route } from '../route.ts';

const group = 'default';
const urlencoded = 'application/x-www-form-urlencoded';

/** The course's answers are HTTP 200 whatever has happened: what was refused, and even a fault, is said in errno and msg. */
async function answer(asked: Asking, work: () => Promise<unknown>): Promise<Response> {
  const { c, deps, caller } = asked;
  checkGroup(caller, group);
  try {
    return c.json({ errno: 0, msg: 'success', data: await work() });
  } catch (error) {
    const refusal = error instanceof Refusal ? error : storeRefusal(error);
    if (error !== refusal) {
      const { method, path } = c.req;
      deps.events.emit({ type: 'http.fault', method, path, requestId: c.get('requestId'), error });
    }
    const msg = refusal?.message ?? `something went wrong here; the log tells more by ${c.get('requestId')}`;
    return c.json({ errno: -1, msg, data: null });
  }
}

/** One field of the form, or null. */
async function fieldOf(c: Context<Env>, name: string): Promise<string | null> {
  if (!c.req.header('content-type')?.toLowerCase().startsWith('multipart/form-data')) {
    expectType(c, [urlencoded]);
    const text = await textOf(c);
    checkEncoded(text, 'body');
    return new URLSearchParams(text).get(name);
  }
  try {
    const value = (await c.req.formData()).get(name);
    return typeof value === 'string' ? value : null;
  } catch {
    // Whatever the parser says of a body that is not what its type says.
    throw new Refusal('body_invalid', 'body: is not multipart/form-data');
  }
}

async function nameOf(c: Context<Env>): Promise<string> {
  const name = await fieldOf(c, 'name');
  if (name === null || !namePattern.test(name))
    throw refuse('name_invalid', 'name', name, 'the name of a job');
  return name;
}

const saved = v.object({ name: v.string(), command: v.string(), cronExpr: v.string() });
const logQuery = v.object({
  name: v.pipe(v.string(), v.regex(namePattern, 'expected the name of a job')),
  skip: v.optional(number(0, 100_000), '0'),
  limit: v.optional(number(0, 500), '20'),
});

async function save(asked: Asking): Promise<unknown> {
  const text = await fieldOf(asked.c, 'job');
  if (text === null) throw new Refusal('job_invalid', 'job: is missing; expected a form field with JSON');
  const { name, command, cronExpr } = parseBy(saved, parseJson(text), 'job_invalid', 'job');
  if (!namePattern.test(name)) throw refuse('name_invalid', 'name', name, 'the name of a job');
  const store = storeOf(asked.deps);
  const id = jobId(group, name);
  const known = await getJob(store, id);
  const schedule = cronExpr.trim() === '' ? '' : parseCourseExpression(cronExpr);
  const given = { name, command, argv: null, schedule };
  // What the course knows nothing of stays as it was.
  const job = checkJob({ group, ...known?.record.job, ...given });
  const by = asked.caller.name;
  const { before, after } = await saveJob(store, job, { by, condition: {}, cronExpr });
  await audit(asked, before === null ? 'job.create' : 'job.update', {
    ...{ job: id, target: id, before: before?.job, after: after.job },
  });
  return before === null ? null : courseJob(before);
}

async function remove(asked: Asking): Promise<unknown> {
  const id = jobId(group, await nameOf(asked.c));
  try {
    const last = await deleteJob(storeOf(asked.deps), id, {});
    await audit(asked, 'job.delete', { job: id, target: id, before: last.job });
    return courseJob(last);
  } catch (error) {
    // Deleting what is not there succeeds here: the course's clients rely on it.
    if (error instanceof Refusal && error.code === 'job_not_found') return null;
    throw error;
  }
}

async function list({ deps }: Asking): Promise<unknown[]> {
  const all = [];
  for (let after: string | null = null; ; ) {
    const { jobs, last, more } = await pageOfJobs(storeOf(deps), { group, after, limit: 500 });
    all.push(...jobs.map(({ record }) => courseJob(record)));
    if (!more) return all;
    after = last;
  }
}

async function killAll(asked: Asking): Promise<null> {
  const { deps, caller } = asked;
  const id = jobId(group, await nameOf(asked.c));
  const store = storeOf(deps);
  for (const { run } of await livingRuns(store, id)) {
    try {
      const known = await unlessAway(deps.clock, deps.history.run(run));
      const how = { by: caller.name, signal: null, graceMs: null };
      const { fresh } = await askKill(store, run, known, how);
      if (fresh) await audit(asked, 'run.kill', { job: id, target: run });
    } catch (error) {
      // It has ended since it was listed: then nothing of it needs killing.
      if (!(error instanceof Refusal)) throw error;
    }
  }
  return null;
}

/** The query as any query is read, but what is wrong with it is said the course's way, and what is not known is passed over. */
function logQueryOf(c: Context): v.InferOutput<typeof logQuery> {
  return parseBy(logQuery, c.req.query(), 'query_invalid', 'query');
}

async function workers({ deps }: Asking): Promise<string[]> {
  const all = await listWorkers(deps.kv, deps.layout, [], deps.clock.now());
  return all
    .filter(({ state }) => state === 'live')
    .flatMap(({ addresses }) => addresses.filter((one) => /^\d+\.\d+\.\d+\.\d+$/.test(one)).slice(0, 1));
}

function courseRoute(
  told: Pick<Route, 'method' | 'path' | 'role' | 'summary'>,
  form: Record<string, v.GenericSchema> | null,
  work: (asked: Asking) => Promise<unknown>,
): Route {
  const raw = form === null ? {} : { raw: { [urlencoded]: v.object(form) } };
  const made = route({
    // Whatever else a client puts into its query (jQuery's `_=` against caches) is passed over.
    ...{ ...told, ...raw, root: true, query: v.looseObject({}), answer: Errno },
    handle: (asked) => answer(asked, () => work(asked)),
  });
  return { ...made, summary: `${told.summary}, the course's way` };
}

const name = v.string();

/** The course's own API (API.md): forms in, errno out, group `default`. */
export const courseRoutes: Route[] = [
  courseRoute(
    { method: 'POST', path: '/job/save', role: 'editor', summary: 'Save a job' },
    { job: v.string() },
    save,
  ),
  courseRoute(
    { method: 'POST', path: '/job/delete', role: 'editor', summary: 'Delete a job' },
    { name },
    remove,
  ),
  courseRoute({ method: 'GET', path: '/job/list', role: 'viewer', summary: 'List jobs' }, null, list),
  courseRoute(
    { method: 'POST', path: '/job/kill', role: 'operator', summary: "Kill a job's runs" },
    { name },
    killAll,
  ),
  {
    ...courseRoute(
      { method: 'GET', path: '/job/log', role: 'viewer', summary: "A job's log" },
      null,
      ({ c, deps }) => courseLogs(deps.history, { group, ...logQueryOf(c) }),
    ),
    query: v.looseObject({ name: v.optional(name), skip: v.optional(name), limit: v.optional(name) }),
  },
  courseRoute(
    { method: 'GET', path: '/worker/list', role: 'viewer', summary: 'Live workers' },
    null,
    workers,
  ),
];
