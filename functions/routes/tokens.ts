import * as v from 'valibot';
import { roles, type TokenValue } from '#core/cluster/records.ts';
import { deleteToken, getToken, listTokens } from '#core/cluster/tokens.ts';
import { Refusal } from '#core/model/refusal.ts';
import { listOf, Me, NewToken, Token } from '../answers.ts';
import { audit } from '../audit.ts';
import { createToken } from '../auth.ts';
import type { Caller } from '../deps.ts';
import { name, paging, words } from '../fields.ts';
import { pageBy } from '../paging.ts';
import { route } from '../route.ts';
import { iso } from '../views.ts';

function tokenView({ hash: _, ...token }: TokenValue): v.InferOutput<typeof Token> {
  return { ...token, createdAt: iso(token.createdAt) };
}

/** Who has some groups only sees, makes and revokes tokens of no more than these. */
function within(caller: Caller, groups: readonly string[] | null): boolean {
  const own = caller.groups;
  return own === null || (groups?.every((group) => own.includes(group)) ?? false);
}

const tokenBody = v.strictObject({
  name: words(1, 64),
  role: v.picklist(roles),
  groups: v.optional(v.nullable(v.pipe(v.array(name), v.minLength(1), v.maxLength(256))), null),
});

/** `forgetToken` makes a revocation hold at once in this process. */
export const tokenRoutes = (forgetToken: (id: string) => void) => [
  route({
    ...{ method: 'GET', path: '/me', role: 'viewer', summary: 'Who I am', answer: Me },
    handle: async ({ c, caller: { name: own, role, groups } }) => c.json({ name: own, role, groups }),
  }),
  route({
    ...{ method: 'GET', path: '/tokens', role: 'admin', summary: 'List tokens', answer: listOf(Token) },
    query: v.strictObject(paging),
    async handle({ c, deps, caller, query }) {
      const all = (await listTokens(deps.kv, deps.layout)).filter(({ groups }) => within(caller, groups));
      const { items, next } = pageBy(all, ({ id }) => id, query);
      return c.json({ items: items.map(tokenView), next });
    },
  }),
  route({
    ...{ method: 'POST', path: '/tokens', role: 'admin', summary: 'Make a token; only this answer holds it' },
    ...{ body: tokenBody, answer: NewToken, statuses: [201] },
    async handle(asked) {
      const { c, deps, caller, body } = asked;
      if (!within(caller, body.groups))
        throw new Refusal('forbidden', 'groups: a token for some groups can only make tokens for these');
      const { token, text } = await createToken(deps, { ...body, by: caller.name });
      await audit(asked, 'token.create', { target: token.id, after: tokenView(token) });
      return c.json({ ...tokenView(token), token: text }, 201);
    },
  }),
  route({
    ...{ method: 'DELETE', path: '/tokens/:id', role: 'admin', summary: 'Revoke a token', answer: Token },
    async handle(asked) {
      const { c, deps, caller } = asked;
      const id = c.req.param('id') ?? '';
      // What is no id may be a whole token, taken for its id.
      if (!/^[a-z0-9]{1,64}$/.test(id))
        throw new Refusal('token_not_found', 'token: that is no id of a token; expected one as in the list');
      const token = await getToken(deps.kv, deps.layout, id);
      if (token === null)
        throw new Refusal('token_not_found', `token: there is no token ${JSON.stringify(id)}`);
      if (!within(caller, token.groups))
        throw new Refusal('forbidden', 'token: is for more groups than the one that asks');
      await deleteToken(deps.kv, deps.layout, id);
      forgetToken(id);
      await audit(asked, 'token.revoke', { target: id, before: tokenView(token) });
      return c.json(tokenView(token));
    },
  }),
];
