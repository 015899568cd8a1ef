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
const slackChars = 35_000;

/** Sends a message as the channel's kind takes it; what went wrong is an answer, not a fault. */
export async function send(reach: Reach, channel: ChannelValue, message: Message): Promise<Delivered> {
  if (reach.fetch === undefined)
    return { delivered: false, status: null, detail: 'this server does not reach out to channels' };
  if (channel.type === 'email') {
    // Loaded when somebody has such a channel: it is large.
    const { mail } = await import('./mail.ts');
    return await mail(channel, message, deliverMs);
  }
  const { id, subject, text, alerts } = message;
  const body =
    channel.type === 'slack'
      ? { text: text.slice(0, slackChars) }
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
  try {
    const answer = await ask(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-cronfleet-id': id,
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

/** Over time and body, so that a message that somebody has overheard can't be sent again another day. */
function signature(secret: string, timestamp: string, body: string): Record<string, string> {
  const mac = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
  return { 'x-cronfleet-timestamp': timestamp, 'x-cronfleet-signature': `sha256=${mac}` };
}
