import * as v from 'valibot';
import { roles, type TokenValue } from '#core/cluster/records.ts';
import { deleteToken, listTokens } from '#core/cluster/tokens.ts';
import { listWorkers, setDrain } from '#core/cluster/workers.ts';
import { jobId, parseJobId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { audit } from '../audit.ts';
import { createToken } from '../auth.ts';
import { name, paging, time } from '../fields.ts';
import { type Asked, route } from '../route.ts';
import { iso, workerView } from '../views.ts';

async function drain(asked: Asked<undefined, undefined>, draining: boolean): Promise<Response> {
  const { c, deps, caller } = asked;
  const id = c.req.param('id') ?? '';
  if (!v.is(name, id))
    throw new Refusal('worker_not_found', `worker: there is no worker ${JSON.stringify(id)}`);
  const now = deps.clock.now();
  await setDrain(deps.kv, deps.layout, id, draining ? { by: caller.name, at: now } : null);
  await audit(asked, draining ? 'worker.drain' : 'worker.undrain', { target: id });
  const workers = await listWorkers(deps.kv, deps.layout, await deps.history.loads(), now);
  const worker = workers.find((one) => one.id === id);
  if (worker === undefined) throw new Refusal('worker_not_found', `worker: ${id} has gone meanwhile`);
  return c.json(workerView(worker));
}

function tokenView({ hash: _, ...token }: TokenValue) {
  return { ...token, createdAt: iso(token.createdAt) };
}

const tokenBody = v.strictObject({
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  role: v.picklist(roles),
  groups: v.optional(v.nullable(v.array(name)), null),
});

/** Routes about workers, tokens and the audit. `forgetToken` makes a revocation hold at once in this process. */
export const adminRoutes = (forgetToken: (id: string) => void) => [
  route({
    ...{ method: 'GET', path: '/me', role: 'viewer', summary: 'Who I am' },
    handle: async ({ c, caller }) => c.json(caller),
  }),
  route({
    ...{ method: 'GET', path: '/workers', role: 'viewer', summary: 'List workers' },
    async handle({ c, deps }) {
      const workers = await listWorkers(deps.kv, deps.layout, await deps.history.loads(), deps.clock.now());
      return c.json({ items: workers.map(workerView), next: null });
    },
  }),
  route({
    method: 'POST',
    path: '/workers/:id/drain',
    role: 'admin',
    summary: 'Take a worker out',
    handle: (asked) => drain(asked, true),
  }),
  route({
    method: 'POST',
    path: '/workers/:id/undrain',
    role: 'admin',
    summary: 'Take it in again',
    handle: (asked) => drain(asked, false),
  }),
  route({
    ...{ method: 'GET', path: '/audit', role: 'admin', summary: 'Who did what' },
    query: v.strictObject({
      ...paging,
      from: v.optional(time),
      to: v.optional(time),
      who: v.optional(v.string()),
      job: v.optional(v.string()),
    }),
    async handle({ c, deps, caller, query }) {
      const { job, from, to, who, cursor, limit } = query;
      const named = job === undefined ? undefined : parseJobId(job);
      const page = await deps.history.audit({
        limit,
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(who === undefined ? {} : { who }),
        ...(cursor === undefined ? {} : { cursor }),
        ...(named === undefined ? {} : { job: jobId(named.group, named.name) }),
        ...(caller.groups === null ? {} : { groups: caller.groups }),
      });
      return c.json({ items: page.items.map((one) => ({ ...one, at: iso(one.at) })), next: page.next });
    },
  }),
  route({
    ...{ method: 'GET', path: '/tokens', role: 'admin', summary: 'List tokens' },
    handle: async ({ c, deps }) =>
      c.json({ items: (await listTokens(deps.kv, deps.layout)).map(tokenView), next: null }),
  }),
  route({
    ...{
      method: 'POST',
      path: '/tokens',
      role: 'admin',
      summary: 'Make a token',
      body: tokenBody,
      status: 201,
    },
    async handle(asked) {
      const { c, deps, caller, body } = asked;
      if (
        caller.groups !== null &&
        (body.groups === null || body.groups.some((group) => !caller.groups?.includes(group)))
      )
        throw new Refusal('forbidden', 'groups: a token for some groups can only make tokens for these');
      const { token, text } = await createToken(deps, { ...body, by: caller.name });
      await audit(asked, 'token.create', { target: token.id, after: tokenView(token) });
      return c.json({ ...tokenView(token), token: text }, 201);
    },
  }),
  route({
    ...{ method: 'DELETE', path: '/tokens/:id', role: 'admin', summary: 'Revoke a token' },
    async handle(asked) {
      const id = asked.c.req.param('id') ?? '';
      if (!/^[a-z0-9]+$/.test(id) || !(await deleteToken(asked.deps.kv, asked.deps.layout, id)))
        throw new Refusal('token_not_found', `token: there is no token ${JSON.stringify(id)}`);
      forgetToken(id);
      await audit(asked, 'token.revoke', { target: id });
      return asked.c.json({ id });
    },
  }),
];
