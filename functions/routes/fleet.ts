import * as v from 'valibot';
import { listWorkers, setDrain } from '#core/cluster/workers.ts';
import { jobId, parseJobId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { Audited, Findings, listOf, WorkerAnswer, Workers } from '../answers.ts';
import { audit } from '../audit.ts';
import { type AppDeps, checkEveryGroup, checkGroup, groupsOf } from '../deps.ts';
import { defined, jobText, name, paging, time } from '../fields.ts';
import { unlessAway } from '../in-time.ts';
import { pageBy } from '../paging.ts';
import { type Asking, route } from '../route.ts';
import { iso, workerView } from '../views.ts';

/** Every worker; `away`: without the load figures, which History keeps, and without those that are gone. */
async function workersOf({ kv, layout, history, clock }: AppDeps) {
  const loads = await unlessAway(clock, history.loads());
  const workers = await listWorkers(kv, layout, loads ?? [], clock.now());
  return { workers, away: loads === null ? (['history'] as const) : [] };
}

async function drain(asked: Asking, draining: boolean): Promise<Response> {
  const { c, deps, caller } = asked;
  const id = c.req.param('id') ?? '';
  checkEveryGroup(caller);
  if (!v.is(name, id))
    throw new Refusal('worker_not_found', `worker: there is no worker ${JSON.stringify(id)}`);
  const now = deps.clock.now();
  const after = draining ? { by: caller.name, at: now } : null;
  const before = await setDrain(deps.kv, deps.layout, id, after);
  await audit(asked, draining ? 'worker.drain' : 'worker.undrain', { target: id, before, after });
  const { workers } = await workersOf(deps);
  const worker = workers.find((one) => one.id === id);
  if (worker === undefined) throw new Refusal('worker_not_found', `worker: ${id} has gone meanwhile`);
  return c.json(workerView(worker));
}

const empty = v.strictObject({});

/** Routes about workers, the audit and this process. */
export const fleetRoutes = [
  route({
    ...{ method: 'GET', path: '/workers', role: 'viewer', summary: 'List workers' },
    ...{ query: v.strictObject(paging), answer: Workers },
    async handle({ c, deps, query }) {
      const { workers, away } = await workersOf(deps);
      const { items, next } = pageBy(workers, ({ id }) => id, query);
      return c.json({ items: items.map(workerView), next, away });
    },
  }),
  route({
    ...{
      method: 'POST',
      path: '/workers/:id/drain',
      role: 'admin',
      summary: 'Let a worker take nothing new',
    },
    ...{ body: empty, answer: WorkerAnswer },
    handle: (asked) => drain(asked, true),
  }),
  route({
    ...{ method: 'POST', path: '/workers/:id/undrain', role: 'admin', summary: 'Let it take again' },
    ...{ body: empty, answer: WorkerAnswer },
    handle: (asked) => drain(asked, false),
  }),
  route({
    ...{ method: 'GET', path: '/audit', role: 'admin', summary: 'Who did what' },
    query: v.strictObject({
      ...paging,
      from: v.optional(time),
      to: v.optional(time),
      who: v.optional(v.string()),
      job: v.optional(jobText),
    }),
    answer: listOf(Audited),
    async handle({ c, deps, caller, query }) {
      const { job, ...rest } = query;
      const named = job === undefined ? null : parseJobId(job);
      if (named !== null) checkGroup(caller, named.group);
      const page = await deps.history.audit({
        ...defined(rest),
        limit: query.limit,
        ...(named === null ? {} : { job: jobId(named.group, named.name) }),
        ...groupsOf(caller),
      });
      // What is of no group (tokens, workers) concerns everybody: not for a token of some.
      const items = page.items.filter((one) => caller.groups === null || one.job !== null);
      return c.json({ items: items.map((one) => ({ ...one, at: iso(one.at) })), next: page.next });
    },
  }),
  route({
    ...{ method: 'GET', path: '/findings', role: 'admin', summary: 'What is not as it should be' },
    ...{ answer: Findings },
    async handle({ c, deps, caller }) {
      checkEveryGroup(caller);
      // Loaded when somebody asks, which is seldom: a function starts the sooner.
      const { findAll } = await import('../findings/find.ts');
      return c.json({ items: await findAll(deps) });
    },
  }),
  route({
    ...{ method: 'GET', path: '/metrics', root: true, role: 'viewer', summary: 'Metrics for Prometheus' },
    also: { 'text/plain': "Prometheus' text format" },
    handle: async ({ c, deps }) =>
      c.body((await deps.metrics?.()) ?? '', 200, {
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      }),
  }),
];
