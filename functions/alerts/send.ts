import { createHmac } from 'node:crypto';
import type { ChannelValue } from '#core/cluster/channels.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Message } from './message.ts';

/** How a delivery went. */
export interface Delivered {
  delivered: boolean;
  /** Of an answer by HTTP or SMTP. */
  status: number | null;
  detail: string;
}

/** What a channel is reached with; without `fetch` none is, from here. */
export interface Reach {
  clock: Clock;
  fetch?: typeof fetch;
}

/** How long somebody's server may take. */
const deliverMs = 10_000;
/** All steps of a mail server together: each may take almost as long as one may, and there are as many as recipients, and more. */
const mailMs = 25_000;
const slackChars = 35_000;

/** Sends a message as the channel's kind takes it; what went wrong is an answer, not a fault. */
export async function send(reach: Reach, channel: ChannelValue, message: Message): Promise<Delivered> {
  if (reach.fetch === undefined)
    return { delivered: false, status: null, detail: 'this server does not reach out to channels' };
  if (channel.type === 'email') {
    // Loaded when somebody has such a channel: it is large.
    const { mail } = await import('./mail.ts');
    const late = Promise.withResolvers<Delivered>();
    const detail = `not taken within ${mailMs / 1_000} s`;
    const cancel = reach.clock.after(mailMs, () => late.resolve({ delivered: false, status: null, detail }));
    return await Promise.race([mail(channel, message, deliverMs), late.promise]).finally(cancel);
  }
  const { id, subject, text, alerts } = message;
  const body =
    channel.type === 'slack'
      ? { text: escaped(text.slice(0, slackChars)) }
      : { id, sentAt: new Date(reach.clock.now()).toISOString(), subject, text, alerts };
  return await post(reach.fetch, reach.clock, channel, JSON.stringify(body), id);
}

async function post(
  ask: typeof fetch,
  clock: Clock,
  { url, secret }: ChannelValue,
  body: string,
  id: string,
): Promise<Delivered> {
  const stop = new AbortController();
  const cancel = clock.after(deliverMs, () => stop.abort());
  const { address, authorization } = apart(url);
  try {
    const answer = await ask(address, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-cronfleet-id': id,
        ...(authorization === null ? {} : { authorization }),
        ...(secret === null ? {} : signature(secret, String(Math.floor(clock.now() / 1_000)), body)),
      },
      body,
      // Whoever set the channel up named this address, and no other.
      redirect: 'manual',
      signal: stop.signal,
    });
    await answer.body?.cancel();
    return { delivered: answer.ok, status: answer.status, detail: `answered with HTTP ${answer.status}` };
  } catch (error) {
    // Anything between here and there: whoever set it up wants to know what.
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

/** An address without the name and password in it, which `fetch` refuses, and shows to whoever reads why. */
function apart(address: string): { address: string; authorization: string | null } {
  const url = new URL(address);
  const { username, password } = url;
  if (username === '' && password === '') return { address, authorization: null };
  Object.assign(url, { username: '', password: '' });
  const pair = `${decoded(username)}:${decoded(password)}`;
  return { address: url.href, authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A percent sign that stands for itself.
    return text;
  }
}

/** What Slack takes for its own, such as <!channel>: https://docs.slack.dev/messaging/formatting-message-text#escaping */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Over time and body, so that a message that somebody has overheard can't be sent again another day. */
function signature(secret: string, timestamp: string, body: string): Record<string, string> {
  const mac = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
  return { 'x-cronfleet-timestamp': timestamp, 'x-cronfleet-signature': `sha256=${mac}` };
}
