import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { checkJob } from '#core/cluster/check-job.ts';
import {
  type Condition,
  deleteJob,
  getJob,
  notFound,
  pageOfJobs,
  pauseJob,
  resumeJob,
  type StoredJob,
  saveJob,
  skipInstant,
} from '#core/cluster/jobs.ts';
import { orderBackfill, orderRun } from '#core/cluster/orders.ts';
import { listWorkers } from '#core/cluster/workers.ts';
import { isPaused } from '#core/decide/may-start.ts';
import { fits } from '#core/decide/placement.ts';
import { jobId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import { audit } from '../audit.ts';
import { type AppDeps, type Caller, mayTouch, storeOf } from '../deps.ts';
import { flag, name, paging, state, time } from '../fields.ts';
import { type Asked, parseJson, route } from '../route.ts';
import { type JobView, jobView } from '../views.ts';

/** Pages of keys that one list request looks through at most, where its filters pass little. */
const mostPages = 20;

/** The job that the path names, and whether the caller may touch its group. */
export function jobOf({ c, caller }: Pick<Asked<unknown, unknown>, 'c' | 'caller'>): {
  id: string;
  group: string;
  name: string;
} {
  const { group = '', name: jobName = '' } = c.req.param() as Record<string, string>;
  for (const [path, value] of Object.entries({ group, name: jobName }))
    if (!v.is(name, value))
      throw new Refusal(
        'path_invalid',
        `${path}: ${JSON.stringify(value)} is no name; expected 1 to 64 of [A-Za-z0-9._-]`,
      );
  if (!mayTouch(caller, group)) throw new Refusal('forbidden', `group: this token is not for group ${group}`);
  return { id: jobId(group, jobName), group, name: jobName };
}

export async function storedJob(
  asked: Pick<Asked<unknown, unknown>, 'c' | 'caller' | 'deps'>,
): Promise<StoredJob & { id: string }> {
  const { id } = jobOf(asked);
  const job = await getJob(storeOf(asked.deps), id);
  if (job === null) throw notFound(id);
  return { ...job, id };
}

function conditionOf({ c }: Pick<Asked<unknown, unknown>, 'c'>): Condition {
  const match = c.req.header('if-match');
  const none = c.req.header('if-none-match');
  if (none !== undefined && none !== '*')
    throw new Refusal('query_invalid', `If-None-Match: ${JSON.stringify(none)}; expected *`);
  return {
    ...(match === undefined || match === '*' ? {} : { match: match.replace(/^"(.*)"$/, '$1') }),
    ...(none === undefined ? {} : { absent: true }),
  };
}

/** What sets a floor needs a clock that can be trusted (DESIGN.md section 4). */
export function trustClock({ skewMs }: AppDeps): void {
  const skew = skewMs === undefined ? 0 : skewMs();
  if (skew === null || Math.abs(skew) > 500)
    throw new Refusal(
      'clock_skewed',
      `this server's clock is ${skew === null ? 'of unknown offset' : `${skew} ms off`}; expected at most 500 ms`,
    );
}

async function view(deps: AppDeps, caller: Caller, record: StoredJob['record']): Promise<JobView> {
  const id = jobId(record.job.group, record.job.name);
  const last = (await deps.history.latest([id])).get(id) ?? null;
  return jobView(deps, caller, record, last);
}

/** The same key is the same order, for a day: its id is made of it. */
function orderId({ c, deps }: Pick<Asked<unknown, unknown>, 'c' | 'deps'>, job: string): string {
  const key = c.req.header('idempotency-key');
  if (key === undefined) return deps.ids.id();
  if (key.length === 0 || key.length > 256)
    throw new Refusal('query_invalid', 'Idempotency-Key: expected 1 to 256 characters');
  return `k${createHash('sha256').update(`${job}\n${key}`).digest('hex').slice(0, 31)}`;
}

const listQuery = v.strictObject({
  ...paging,
  group: v.optional(name),
  q: v.optional(v.pipe(v.string(), v.maxLength(200))),
  tag: v.optional(v.pipe(v.string(), v.maxLength(64))),
  enabled: v.optional(flag),
  worker: v.optional(name),
  state: v.optional(state),
});

async function listJobs({
  c,
  deps,
  caller,
  query,
}: Asked<v.InferOutput<typeof listQuery>, undefined>): Promise<Response> {
  const { limit, cursor, group, q, tag, enabled, worker, state: wanted } = query;
  const store = storeOf(deps);
  const target =
    worker === undefined
      ? null
      : ((await listWorkers(deps.kv, deps.layout, [], deps.clock.now())).find(({ id }) => id === worker) ?? {
          id: worker,
          labels: {},
        });
  const text = q?.toLowerCase();
  const passes = ({ record: { job } }: StoredJob) =>
    mayTouch(caller, job.group) &&
    (enabled === undefined || job.enabled === enabled) &&
    (tag === undefined || job.tags.includes(tag)) &&
    (target === null || fits(job, target)) &&
    (text === undefined ||
      [job.name, job.group, job.description, job.command ?? '', job.owner].some((one) =>
        one.toLowerCase().includes(text),
      ));
  const found: { job: StoredJob; last: Run | null }[] = [];
  let after = cursor === undefined ? null : decodeCursor(cursor, deps.layout.jobs);
  let next: string | null = null;
  for (let page = 0; page < mostPages; page += 1) {
    const { jobs, last, more } = await pageOfJobs(store, { group, after, limit: Math.max(limit, 100) });
    const good = jobs.filter(passes);
    const latest = await deps.history.latest(good.map(({ record: { job } }) => jobId(job.group, job.name)));
    for (const job of good) {
      const run = latest.get(jobId(job.record.job.group, job.record.job.name)) ?? null;
      if (wanted === undefined || run?.state === wanted) found.push({ job, last: run });
    }
    next = more ? last : null;
    if (found.length > limit) {
      found.length = limit;
      const end = found.at(-1)?.job.record.job;
      next = end === undefined ? null : deps.layout.job(jobId(end.group, end.name));
    }
    if (next === null || found.length === limit) break;
    after = next;
  }
  const items = await Promise.all(found.map(({ job, last }) => jobView(deps, caller, job.record, last)));
  return c.json({ items, next: next === null ? null : Buffer.from(next).toString('base64url') });
}

function decodeCursor(cursor: string, prefix: string): string {
  const key = Buffer.from(cursor, 'base64url').toString();
  if (!key.startsWith(prefix))
    throw new Refusal(
      'query_invalid',
      'cursor: is not one of this list; expected `next` of an earlier answer',
    );
  return key;
}

const runBody = v.strictObject({
  env: v.optional(
    v.record(
      v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/)),
      v.pipe(v.string(), v.maxLength(131_072)),
    ),
    {},
  ),
  worker: v.optional(v.nullable(name), null),
});
const pauseBody = v.strictObject({
  reason: v.optional(v.pipe(v.string(), v.maxLength(1_000)), ''),
  until: v.optional(v.nullable(time), null),
});
const skipBody = v.strictObject({ instant: time });
const backfillBody = v.strictObject({ from: time, to: time });
const at = '/jobs/:group/:name';

export const jobRoutes = [
  route({
    method: 'GET',
    path: '/jobs',
    role: 'viewer',
    summary: 'List jobs',
    query: listQuery,
    handle: listJobs,
  }),
  route({
    ...{ method: 'GET', path: at, role: 'viewer', summary: 'Show a job' },
    async handle(asked) {
      const { record } = await storedJob(asked);
      return asked.c.json(await view(asked.deps, asked.caller, record), 200, {
        etag: `"${record.revision}"`,
      });
    },
  }),
  route({
    ...{ method: 'PUT', path: at, role: 'editor', summary: 'Create or replace a job', rawBody: true },
    async handle(asked) {
      const { c, deps, caller } = asked;
      const { id, group, name: jobName } = jobOf(asked);
      const type = c.req.header('content-type')?.split(';')[0]?.trim();
      if (type !== 'application/json')
        throw new Refusal(
          'media_type_unsupported',
          `Content-Type: ${type ?? 'none'} can't be read here; expected application/json`,
        );
      const input = parseJson(await c.req.text());
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
      trustClock(deps);
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
      return c.json(await view(deps, caller, after), before === null ? 201 : 200, {
        etag: `"${after.revision}"`,
      });
    },
  }),
  route({
    ...{ method: 'DELETE', path: at, role: 'editor', summary: 'Delete a job' },
    async handle(asked) {
      const { id } = jobOf(asked);
      const last = await deleteJob(storeOf(asked.deps), id, conditionOf(asked));
      await audit(asked, 'job.delete', { job: id, target: id, before: last.job });
      return asked.c.json(await view(asked.deps, asked.caller, last));
    },
  }),
  route({
    ...{
      method: 'POST',
      path: `${at}/run`,
      role: 'operator',
      summary: 'Run a job now',
      body: runBody,
      status: 202,
    },
    async handle(asked) {
      const job = await storedJob(asked);
      const { env, worker } = asked.body;
      const { orders, runs } = await orderRun(storeOf(asked.deps), job, {
        id: orderId(asked, job.id),
        env,
        worker,
        by: asked.caller.name,
      });
      await audit(asked, 'job.run', {
        job: job.id,
        target: runs[0] ?? '',
        after: { worker, env: Object.keys(env) },
      });
      return asked.c.json({ order: orders[0] ?? null, run: runs[0] ?? null, runs }, 202);
    },
  }),
  route({
    ...{
      method: 'POST',
      path: `${at}/pause`,
      role: 'operator',
      summary: 'Pause a schedule',
      body: pauseBody,
    },
    async handle(asked) {
      const { id } = jobOf(asked);
      const { before, after } = await pauseJob(storeOf(asked.deps), id, {
        ...asked.body,
        by: asked.caller.name,
      });
      await audit(asked, 'job.pause', { job: id, target: id, before: before?.paused, after: after.paused });
      return asked.c.json(await view(asked.deps, asked.caller, after));
    },
  }),
  route({
    ...{ method: 'POST', path: `${at}/resume`, role: 'operator', summary: 'Resume a schedule' },
    async handle(asked) {
      const { id } = jobOf(asked);
      trustClock(asked.deps);
      const { before, after } = await resumeJob(storeOf(asked.deps), id);
      if (isPaused(before?.paused ?? null, asked.deps.clock.now()))
        await audit(asked, 'job.resume', { job: id, target: id, before: before?.paused });
      return asked.c.json(await view(asked.deps, asked.caller, after));
    },
  }),
  route({
    ...{
      method: 'POST',
      path: `${at}/skip`,
      role: 'operator',
      summary: 'Leave one coming instant out',
      body: skipBody,
    },
    async handle(asked) {
      const { id } = jobOf(asked);
      const { after } = await skipInstant(storeOf(asked.deps), id, asked.body.instant);
      await audit(asked, 'job.skip', { job: id, target: new Date(asked.body.instant).toISOString() });
      return asked.c.json(await view(asked.deps, asked.caller, after));
    },
  }),
  route({
    ...{
      method: 'POST',
      path: `${at}/backfill`,
      role: 'operator',
      summary: 'Run past instants',
      body: backfillBody,
      status: 202,
    },
    async handle(asked) {
      const job = await storedJob(asked);
      const answer = await orderBackfill(storeOf(asked.deps), job, {
        ...asked.body,
        id: orderId(asked, job.id),
        by: asked.caller.name,
      });
      await audit(asked, 'job.backfill', {
        job: job.id,
        target: answer.orders[0] ?? '',
        after: { count: answer.count },
      });
      return asked.c.json(answer, 202);
    },
  }),
  route({
    ...{
      method: 'GET',
      path: `${at}/versions`,
      role: 'viewer',
      summary: 'What a job was before',
      query: v.strictObject(paging),
    },
    async handle(asked) {
      const { id } = jobOf(asked);
      const { cursor, limit } = asked.query;
      const page = await asked.deps.history.audit({
        job: id,
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      const items = page.items
        .filter(({ what }) => /^job\.(create|update|delete)$/.test(what))
        .map(({ at: when, who, what, before, after, requestId }) => ({
          at: new Date(when).toISOString(),
          who,
          what,
          before: masked(asked.caller, before),
          after: masked(asked.caller, after),
          requestId,
        }));
      return asked.c.json({ items, next: page.next });
    },
  }),
  route({
    ...{ method: 'GET', path: `${at}/search`, role: 'viewer', summary: "Search a job's logs" },
    query: v.strictObject({
      text: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
      days: v.optional(v.pipe(v.string(), v.regex(/^\d{1,3}$/), v.transform(Number)), '7'),
    }),
    async handle(asked) {
      const { group, name: jobName } = jobOf(asked);
      const since = asked.deps.clock.now() - asked.query.days * 86_400_000;
      const { lines, complete } = await asked.deps.history.search({
        group,
        name: jobName,
        text: asked.query.text,
        since,
        maxBytes: 64 * 1024 * 1024,
        limit: 500,
      });
      return asked.c.json({
        lines: lines.map((line) => ({ ...line, at: new Date(line.at).toISOString() })),
        complete,
      });
    },
  }),
];

function masked(caller: Caller, job: unknown): unknown {
  if (
    caller.role === 'editor' ||
    caller.role === 'admin' ||
    typeof job !== 'object' ||
    job === null ||
    !('env' in job)
  )
    return job;
  return { ...job, env: Object.fromEntries(Object.keys(job.env ?? {}).map((key) => [key, '***'])) };
}
