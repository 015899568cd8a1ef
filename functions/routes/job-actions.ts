import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { pauseJob, resumeJob, skipInstant } from '#core/cluster/jobs.ts';
import { orderBackfill, orderRun } from '#core/cluster/orders.ts';
import { Environment } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { Backfilled, JobView, Ordered } from '../answers.ts';
import { audit } from '../audit.ts';
import { storeOf } from '../deps.ts';
import { name, time, words } from '../fields.ts';
import { conditionOf, conditions, jobOf, storedJob } from '../job-path.ts';
import { type Asking, route } from '../route.ts';
import { iso } from '../views.ts';
import { answerJob, atJob } from './jobs.ts';

/** The same key is the same order of that kind, for a day: its id is made of it. */
function orderId({ c, deps }: Asking, kind: string, job: string): string {
  const key = c.req.header('idempotency-key');
  if (key === undefined) return deps.ids.id();
  if (key.length === 0 || key.length > 256)
    throw new Refusal('query_invalid', 'Idempotency-Key: expected 1 to 256 characters');
  return `k${createHash('sha256').update(`${kind}\n${job}\n${key}`).digest('hex').slice(0, 31)}`;
}

/** It stands in the order and in the running key, and one transaction puts both: within what a store takes in one request. */
const mostEnvChars = 262_144;
const runBody = v.strictObject({
  env: v.optional(
    v.pipe(
      Environment,
      v.check(
        (env) => JSON.stringify(env).length <= mostEnvChars,
        `expected at most ${mostEnvChars} characters of it`,
      ),
    ),
    {},
  ),
  worker: v.optional(v.nullable(name), null),
});
const pauseBody = v.strictObject({
  reason: v.optional(words(0, 1_000), ''),
  until: v.optional(v.nullable(time), null),
});

const ordering = {
  'Idempotency-Key': 'The same key is the same order of that kind and job, for a day',
  'If-Match': conditions['If-Match'],
};

/** What operators do with a job; none of it changes its revision. */
export const jobActionRoutes = [
  route({
    ...{ method: 'POST', path: `${atJob}/run`, role: 'operator', summary: 'Run a job now' },
    ...{ body: runBody, answer: Ordered, statuses: [202], refuses: [409, 412], headers: ordering },
    async handle(asked) {
      const { c, deps, caller, body } = asked;
      const job = await storedJob(asked);
      const { order, runs, fresh } = await orderRun(storeOf(deps), job, {
        ...body,
        id: orderId(asked, 'run', job.id),
        by: caller.name,
      });
      if (fresh)
        await audit(asked, 'job.run', {
          job: job.id,
          target: runs[0] ?? '',
          after: { worker: body.worker, env: Object.keys(body.env) },
        });
      return c.json({ order, run: runs[0] ?? null, runs }, 202);
    },
  }),
  route({
    ...{ method: 'POST', path: `${atJob}/backfill`, role: 'operator', summary: 'Run past instants' },
    ...{ body: v.strictObject({ from: time, to: time }), answer: Backfilled },
    ...{ statuses: [202], refuses: [409, 412], headers: ordering },
    async handle(asked) {
      const { c, deps, caller, body } = asked;
      const job = await storedJob(asked);
      const { orders, runs, count, fresh } = await orderBackfill(storeOf(deps), job, {
        ...body,
        id: orderId(asked, 'backfill', job.id),
        by: caller.name,
      });
      if (fresh)
        await audit(asked, 'job.backfill', {
          job: job.id,
          target: orders[0] ?? '',
          after: { from: iso(body.from), to: iso(body.to), count },
        });
      return c.json({ orders, runs, count }, 202);
    },
  }),
  route({
    ...{ method: 'POST', path: `${atJob}/pause`, role: 'operator', summary: 'Pause a schedule' },
    ...{ body: pauseBody, answer: JobView, refuses: [409, 412], headers: conditions },
    async handle(asked) {
      const { deps, caller, body } = asked;
      const { id } = jobOf(asked);
      const pause = { ...body, by: caller.name };
      const { before, after } = await pauseJob(storeOf(deps), id, pause, conditionOf(asked));
      await audit(asked, 'job.pause', { job: id, target: id, before: before?.paused, after: after.paused });
      return answerJob(asked, after);
    },
  }),
  route({
    ...{ method: 'POST', path: `${atJob}/resume`, role: 'operator', summary: 'Resume a schedule' },
    ...{ body: v.strictObject({}), answer: JobView, refuses: [409, 412], headers: conditions },
    async handle(asked) {
      const { id } = jobOf(asked);
      const { before, after } = await resumeJob(storeOf(asked.deps), id, conditionOf(asked));
      if (before?.paused !== after.paused)
        await audit(asked, 'job.resume', { job: id, target: id, before: before?.paused });
      return answerJob(asked, after);
    },
  }),
  route({
    ...{ method: 'POST', path: `${atJob}/skip`, role: 'operator', summary: 'Leave one coming instant out' },
    ...{ body: v.strictObject({ instant: time }), answer: JobView, refuses: [409, 412], headers: conditions },
    async handle(asked) {
      const { deps, body } = asked;
      const { id } = jobOf(asked);
      const { before, after } = await skipInstant(storeOf(deps), id, body.instant, conditionOf(asked));
      await audit(asked, 'job.skip', {
        ...{ job: id, target: iso(body.instant) },
        ...{ before: { skips: before?.skips.map(iso) }, after: { skips: after.skips.map(iso) } },
      });
      return answerJob(asked, after);
    },
  }),
];
