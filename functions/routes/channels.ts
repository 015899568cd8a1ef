import * as v from 'valibot';
import { type ChannelValue, getChannel, listChannels, putChannel } from '#core/cluster/channels.ts';
import { Refusal } from '#core/model/refusal.ts';
import { Alert, Channel, Delivery, listOf } from '../answers.ts';
import { audit } from '../audit.ts';
import { checkEveryGroup } from '../deps.ts';
import { name, paging } from '../fields.ts';
import { pageBy } from '../paging.ts';
import { type Asking, route } from '../route.ts';
import { iso } from '../views.ts';

/** How long somebody's server may take. */
const deliverMs = 10_000;

const channelBody = v.strictObject({
  type: v.picklist(['webhook', 'slack']),
  url: v.pipe(
    v.string(),
    v.maxLength(2_048),
    v.check((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ''), 'expected an http or https URL'),
  ),
});

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

function view(channel: string, value: ChannelValue): v.InferOutput<typeof Channel> {
  return { name: channel, ...value, updatedAt: iso(value.updatedAt) };
}

/** Sends a message as the channel's kind takes it; what went wrong is an answer, not a fault. */
async function deliver(
  asked: Asking,
  { type, url }: ChannelValue,
  text: string,
): Promise<v.InferOutput<typeof Delivery>> {
  const { fetch, clock } = asked.deps;
  if (fetch === undefined)
    return { delivered: false, status: null, detail: 'this server does not reach out to channels' };
  const stop = new AbortController();
  const cancel = clock.after(deliverMs, () => stop.abort());
  try {
    const body = type === 'slack' ? { text } : { type: 'test', text, at: iso(clock.now()) };
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      // Whoever set the channel up named this address, and no other.
      redirect: 'manual',
      signal: stop.signal,
    });
    await answer.body?.cancel();
    return { delivered: answer.ok, status: answer.status, detail: `answered with HTTP ${answer.status}` };
  } catch (error) {
    // Anything between here and there: the person who tries it out wants to know what.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const detail = stop.signal.aborted
      ? `no answer within ${deliverMs / 1_000} s`
      : cause instanceof Error
        ? cause.message
        : 'can not be reached';
    return { delivered: false, status: null, detail };
  } finally {
    cancel();
  }
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
      const value = { ...body, updatedAt: deps.clock.now(), updatedBy: caller.name };
      const known = await putChannel(deps.kv, deps.layout, channel, value);
      // Not its URL: that may hold a secret.
      await audit(asked, 'channel.save', { target: channel, after: { type: body.type } });
      return c.json(view(channel, value), known ? 200 : 201);
    },
  }),
  route({
    ...{ method: 'DELETE', path: atChannel, role: 'admin', summary: 'Delete an alert channel' },
    answer: Channel,
    async handle(asked) {
      const { c, deps } = asked;
      const channel = nameOf(asked);
      const known = await getChannel(deps.kv, deps.layout, channel);
      if (known === null || !(await putChannel(deps.kv, deps.layout, channel, null))) throw notFound(channel);
      await audit(asked, 'channel.delete', { target: channel, before: { type: known.type } });
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
      return c.json(await deliver(asked, known, `cronfleet: ${caller.name} tries out channel ${channel}`));
    },
  }),
  route({
    ...{ method: 'GET', path: '/alerts', role: 'viewer', summary: 'Alerts; none are raised by this version' },
    ...{ query: v.strictObject(paging), answer: listOf(Alert) },
    handle: async ({ c }) => c.json({ items: [], next: null }),
  }),
];
