import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { type ChannelValue, getChannel, jobsTold, listChannels, putChannel } from '#core/cluster/channels.ts';
import { mistake, mistakesRefusal } from '#core/cluster/check-job.ts';
import { fleetNotices, type Alert as StoredAlert } from '#core/model/alert.ts';
import { Refusal } from '#core/model/refusal.ts';
import { zoneNamed } from '#core/schedule/zone.ts';
import { send } from '../alerts/send.ts';
import { Alert, Channel, Delivery, listOf } from '../answers.ts';
import { audit } from '../audit.ts';
import { checkEveryGroup, groupsOf, storeOf } from '../deps.ts';
import { defined, flag, name, paging, words } from '../fields.ts';
import { pageBy } from '../paging.ts';
import { type Asking, route } from '../route.ts';
import { iso, isoOrNull } from '../views.ts';

const url = (schemes: RegExp, expected: string) =>
  v.pipe(
    v.string(),
    v.maxLength(2_048),
    v.check((text) => schemes.test(URL.parse(text)?.protocol ?? ''), expected),
  );
const clockTime = v.pipe(v.string(), v.regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected a time such as 22:00'));
const zone = v.pipe(
  v.string(),
  v.check((text) => zoneNamed(text) !== null, 'expected a time zone such as Europe/Berlin'),
);
const mailAddress = v.pipe(
  words(0, 320),
  v.regex(/^[^\s@<>,]+@[^\s@<>,]+$/, 'expected an address such as ops@example.org'),
);
/** What every kind of channel has. */
const common = {
  on: v.optional(v.array(v.picklist(fleetNotices)), () => []),
  quiet: v.optional(
    v.nullable(
      v.pipe(
        v.strictObject({ from: clockTime, to: clockTime, timezone: v.optional(zone, 'UTC') }),
        // They end by telling what came up in them: with no end nobody would be told, with no length they are none.
        v.rawCheck(({ dataset, addIssue }) => {
          if (!dataset.typed || dataset.value.from !== dataset.value.to) return;
          const input = dataset.value.to;
          const key = {
            type: 'object',
            origin: 'value',
            input: dataset.value,
            key: 'to',
            value: input,
          } as const;
          addIssue({ message: 'expected another time than from', input, path: [key] });
        }),
      ),
    ),
    null,
  ),
};
const http = url(/^https?:$/, 'expected an http or https URL');
const channelBody = v.variant('type', [
  v.strictObject({
    ...{ type: v.literal('webhook'), url: http, ...common },
    // Left out it stays what it was; nobody is shown it again.
    secret: v.optional(v.nullable(words(8, 256))),
  }),
  v.strictObject({ type: v.literal('slack'), url: http, ...common }),
  v.strictObject({
    ...{ type: v.literal('email'), url: url(/^smtps?:$/, 'expected smtp://[USER:PASSWORD@]HOST[:PORT]') },
    ...{
      from: mailAddress,
      to: v.pipe(v.array(mailAddress), v.minLength(1, 'expected at least one address'), v.maxLength(50)),
      ...common,
    },
  }),
]);

/** Refusal `channel_not_found`, and `forbidden`: channels are of no group. */
function nameOf({ c, caller }: Asking): string {
  checkEveryGroup(caller);
  const given = c.req.param('name') ?? '';
  if (!v.is(name, given))
    throw new Refusal('path_invalid', `name: ${JSON.stringify(given)} is no name of a channel`);
  return given;
}

function notFound(channel: string): Refusal {
  return new Refusal('channel_not_found', `channel: there is no channel ${JSON.stringify(channel)}`);
}

/** So many are named where there are more. */
const someJobs = 5;

function inUse(channel: string, jobs: readonly string[]): Refusal {
  const names = `${jobs.slice(0, someJobs).join(', ')}${jobs.length > someJobs ? ' and more' : ''}`;
  return new Refusal(
    'channel_in_use',
    `channel: ${channel} is told of ${names}, and nobody would hear of them; take it out of their notify first`,
  );
}

/** What stands for the part of an address that nobody is shown again. */
const hidden = '***';

/**
 * Of an address so much that one is told from another: the path of a webhook may be its key (Slack's is), a mail server's has a password.
 * Two paths of one host are told apart by some bits of their hash; of a password, which people think up and others guess, there is nothing in it.
 */
function shown(address: string): string {
  const url = URL.parse(address);
  if (url === null) return hidden;
  const user = url.username === '' ? '' : `${url.username}${url.password === '' ? '' : `:${hidden}`}@`;
  const path = `${url.pathname}${url.search}${url.hash}`;
  const rest =
    path.length <= 1 ? '' : `/${hidden}${createHash('sha256').update(path).digest('hex').slice(0, 4)}`;
  return `${url.protocol}//${user}${url.host}${rest}`;
}

/** The address that is meant: as it is shown it stands for the one that is kept. Refusal `body_invalid` for one that is shown of no channel. */
function addressOf(given: string, before: ChannelValue | null): string {
  if (before !== null && given === shown(before.url)) return before.url;
  if (!given.includes(hidden)) return given;
  const expected = `the whole of it: ${hidden} stands for what is kept, where nothing else of it changes`;
  throw mistakesRefusal('body_invalid', [mistake('url', given, expected)]);
}

function view(channel: string, { secret, ...value }: ChannelValue): v.InferOutput<typeof Channel> {
  const { url, updatedAt } = value;
  return {
    ...{ name: channel, ...value, url: shown(url) },
    ...{ signed: secret !== null, updatedAt: iso(updatedAt) },
  };
}

/** For the audit. */
function told({ type, url, on, quiet, from, to, secret }: ChannelValue): object {
  return { type, url: shown(url), on, quiet, from, to, signed: secret !== null };
}

function alertView(alert: StoredAlert): v.InferOutput<typeof Alert> {
  const { id, kind, about, job, run, worker, title, text, to, open, problem, partOf } = alert;
  return {
    ...{ id, kind, about, job, run, worker, title, text, to: [...to], open, problem, partOf },
    ...{ at: iso(alert.at), endedAt: isoOrNull(alert.endedAt) },
    told: alert.told.map(({ channel, at }) => ({ channel, at: iso(at) })),
    waits: alert.due !== null,
  };
}

const atChannel = '/channels/:name';

export const channelRoutes = [
  route({
    ...{ method: 'GET', path: '/channels', role: 'admin', summary: 'List alert channels' },
    ...{ query: v.strictObject(paging), answer: listOf(Channel) },
    async handle({ c, deps, caller, query }) {
      checkEveryGroup(caller);
      const { items, next } = pageBy(await listChannels(deps.kv, deps.layout), (one) => one.name, query);
      return c.json({ items: items.map(({ name: own, ...value }) => view(own, value)), next });
    },
  }),
  route({
    ...{ method: 'PUT', path: atChannel, role: 'admin', summary: 'Create or replace an alert channel' },
    ...{ body: channelBody, answer: Channel, statuses: [200, 201] },
    async handle(asked) {
      const { c, deps, caller, body } = asked;
      const channel = nameOf(asked);
      const before = await getChannel(deps.kv, deps.layout, channel);
      const value: ChannelValue = {
        ...{ from: null, to: [], ...body, url: addressOf(body.url, before) },
        secret:
          body.type === 'webhook'
            ? body.secret === undefined
              ? (before?.secret ?? null)
              : body.secret
            : null,
        ...{ updatedAt: deps.clock.now(), updatedBy: caller.name },
      };
      const known = await putChannel(deps.kv, deps.layout, channel, value);
      await audit(asked, 'channel.save', {
        target: channel,
        before: before === null ? null : told(before),
        after: told(value),
      });
      return c.json(view(channel, value), known ? 200 : 201);
    },
  }),
  route({
    ...{ method: 'DELETE', path: atChannel, role: 'admin', summary: 'Delete an alert channel' },
    ...{ answer: Channel, refuses: [409] },
    async handle(asked) {
      const { c, deps } = asked;
      const channel = nameOf(asked);
      const known = await getChannel(deps.kv, deps.layout, channel);
      if (known === null) throw notFound(channel);
      const jobs = await jobsTold(storeOf(deps), channel, someJobs + 1);
      if (jobs.length > 0) throw inUse(channel, jobs);
      if (!(await putChannel(deps.kv, deps.layout, channel, null))) throw notFound(channel);
      await audit(asked, 'channel.delete', { target: channel, before: told(known) });
      return c.json(view(channel, known));
    },
  }),
  route({
    ...{ method: 'POST', path: `${atChannel}/test`, role: 'admin', summary: 'Send a test message' },
    ...{ body: v.strictObject({}), answer: Delivery },
    async handle(asked) {
      const { c, deps, caller } = asked;
      const channel = nameOf(asked);
      const known = await getChannel(deps.kv, deps.layout, channel);
      if (known === null) throw notFound(channel);
      await audit(asked, 'channel.test', { target: channel });
      const text = `${caller.name} tries out channel ${channel}`;
      const message = { id: `test~${deps.ids.id()}`, subject: text, text: `cronfleet: ${text}`, alerts: [] };
      return c.json(await send(deps, known, message));
    },
  }),
  route({
    ...{ method: 'GET', path: '/alerts', role: 'viewer', summary: 'What was wrong, newest first' },
    ...{ query: v.strictObject({ ...paging, open: v.optional(flag) }), answer: listOf(Alert) },
    async handle({ c, deps, caller, query }) {
      const { items, next } = await deps.history.alerts({ ...defined(query), ...groupsOf(caller) });
      return c.json({ items: items.map(alertView), next });
    },
  }),
];
