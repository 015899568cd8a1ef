import type { Context } from 'hono';
import * as v from 'valibot';
import { checkJob } from '#core/cluster/check-job.ts';
import { deleteJob, getJob, pageOfJobs, saveJob } from '#core/cluster/jobs.ts';
import { askKill, livingRuns } from '#core/cluster/kills.ts';
import { listWorkers } from '#core/cluster/workers.ts';
import { jobId, namePattern } from '#core/model/ids.ts';
import type { JobRecord } from '#core/model/job.ts';
import { Refusal, refuse } from '#core/model/refusal.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import { parseCourseExpression } from '#core/schedule/course.ts';
import { audit } from '../audit.ts';
import { type Env, mayTouch, storeOf } from '../deps.ts';
import { type Asked, parseBy, parseJson, route } from '../route.ts';
import { trustClock } from './jobs.ts';

const group = 'default';

/** The course's answers are always HTTP 200. */
async function answer(c: Context<Env>, work: () => Promise<unknown>): Promise<Response> {
  try {
    return c.json({ errno: 0, msg: 'success', data: await work() });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return c.json({ errno: -1, msg: error.message, data: null });
  }
}

async function formOf(c: Context<Env>): Promise<Record<string, string>> {
  const type = c.req.header('content-type') ?? '';
  if (!/^(application\/x-www-form-urlencoded|multipart\/form-data)/i.test(type))
    throw new Refusal(
      'media_type_unsupported',
      `Content-Type: ${type || 'none'}; expected application/x-www-form-urlencoded`,
    );
  const form = await c.req.parseBody();
  return Object.fromEntries(
    Object.entries(form).flatMap(([field, value]) => (typeof value === 'string' ? [[field, value]] : [])),
  );
}

async function nameOf(c: Context<Env>): Promise<string> {
  const { name = '' } = await formOf(c);
  if (!namePattern.test(name)) throw refuse('name_invalid', 'name', name, 'the name of a job');
  return name;
}

function courseJob({ job, cronExpr }: JobRecord) {
  const [first = ''] = Array.isArray(job.schedule) ? job.schedule : [job.schedule ?? ''];
  return { name: job.name, command: job.command ?? job.argv?.join(' ') ?? '', cronExpr: cronExpr ?? first };
}

function courseLog(run: Run) {
  const err =
    run.state === 'succeeded'
      ? ''
      : run.exitCode === null
        ? run.reason || run.state
        : `exit status ${run.exitCode}`;
  return {
    ...{
      jobName: run.name,
      command: run.command ?? '',
      err: isTerminal(run.state) ? err : '',
      output: run.tail,
    },
    ...{
      planTime: run.plannedAt ?? 0,
      scheduleTime: run.claimedAt ?? 0,
      startTime: run.startedAt ?? 0,
      endTime: run.endedAt ?? 0,
    },
  };
}

function allowed({ caller }: Pick<Asked<unknown, unknown>, 'caller'>): void {
  if (!mayTouch(caller, group)) throw new Refusal('forbidden', `group: this token is not for group ${group}`);
}

const saved = v.object({ name: v.string(), command: v.string(), cronExpr: v.string() });
const logQuery = v.object({
  name: v.string(),
  skip: v.optional(v.pipe(v.string(), v.regex(/^\d{1,6}$/, 'expected a number'), v.transform(Number)), '0'),
  limit: v.optional(v.pipe(v.string(), v.regex(/^\d{1,4}$/, 'expected a number'), v.transform(Number)), '20'),
});

/** The course's own API (API.md): forms in, errno out, group `default`. */
export const courseRoutes = [
  route({
    ...{
      method: 'POST',
      path: '/job/save',
      root: true,
      role: 'editor',
      summary: "Save a job, the course's way",
      rawBody: true,
    },
    handle: (asked) =>
      answer(asked.c, async () => {
        allowed(asked);
        const { job: text } = await formOf(asked.c);
        if (text === undefined)
          throw new Refusal('job_invalid', 'job: is missing; expected a form field with JSON');
        const { name, command, cronExpr } = parseBy(saved, parseJson(text), 'job_invalid', 'job');
        const store = storeOf(asked.deps);
        const known = await getJob(store, jobId(group, name));
        const given = {
          name,
          command,
          argv: null,
          schedule: cronExpr.trim() === '' ? '' : parseCourseExpression(cronExpr),
        };
        const job = checkJob(known === null ? { group, ...given } : { ...known.record.job, ...given });
        trustClock(asked.deps);
        const { before, after } = await saveJob(store, job, {
          by: asked.caller.name,
          condition: {},
          cronExpr,
        });
        await audit(asked, before === null ? 'job.create' : 'job.update', {
          job: jobId(group, name),
          target: jobId(group, name),
          before: before?.job,
          after: after.job,
        });
        return before === null ? null : courseJob(before);
      }),
  }),
  route({
    ...{
      method: 'POST',
      path: '/job/delete',
      root: true,
      role: 'editor',
      summary: "Delete a job, the course's way",
      rawBody: true,
    },
    handle: (asked) =>
      answer(asked.c, async () => {
        allowed(asked);
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
      }),
  }),
  route({
    ...{
      method: 'GET',
      path: '/job/list',
      root: true,
      role: 'viewer',
      summary: "List jobs, the course's way",
    },
    handle: (asked) =>
      answer(asked.c, async () => {
        allowed(asked);
        const all = [];
        for (let after: string | null = null; ; ) {
          const { jobs, last, more } = await pageOfJobs(storeOf(asked.deps), { group, after, limit: 500 });
          all.push(...jobs.map(({ record }) => courseJob(record)));
          if (!more) return all;
          after = last;
        }
      }),
  }),
  route({
    ...{
      method: 'POST',
      path: '/job/kill',
      root: true,
      role: 'operator',
      summary: "Kill a job's runs, the course's way",
      rawBody: true,
    },
    handle: (asked) =>
      answer(asked.c, async () => {
        allowed(asked);
        const id = jobId(group, await nameOf(asked.c));
        const store = storeOf(asked.deps);
        for (const { run } of await livingRuns(store, id)) {
          await askKill(store, run, await asked.deps.history.run(run), {
            by: asked.caller.name,
            signal: null,
            graceMs: null,
          });
          await audit(asked, 'run.kill', { job: id, target: run });
        }
        return null;
      }),
  }),
  route({
    ...{
      method: 'GET',
      path: '/job/log',
      root: true,
      role: 'viewer',
      summary: "A job's log, the course's way",
      query: logQuery,
    },
    handle: (asked) =>
      answer(asked.c, async () => {
        allowed(asked);
        const { name, skip, limit } = asked.query;
        const wanted = skip + Math.min(limit, 500);
        const runs: Run[] = [];
        for (let cursor: string | undefined; runs.length < wanted; ) {
          const page = await asked.deps.history.runs({
            group,
            name,
            limit: Math.min(500, wanted - runs.length),
            ...(cursor === undefined ? {} : { cursor }),
          });
          runs.push(...page.items);
          if (page.next === null) break;
          cursor = page.next;
        }
        return runs.slice(skip, wanted).map(courseLog);
      }),
  }),
  route({
    ...{
      method: 'GET',
      path: '/worker/list',
      root: true,
      role: 'viewer',
      summary: "Live workers, the course's way",
    },
    handle: ({ c, deps }) =>
      answer(c, async () => {
        const workers = await listWorkers(deps.kv, deps.layout, [], deps.clock.now());
        return workers.filter(({ state }) => state === 'live').map(({ addresses }) => addresses[0] ?? '');
      }),
  }),
];
