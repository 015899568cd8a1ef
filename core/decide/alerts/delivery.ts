import type { Alert, AlertProgress } from '#core/model/alert.ts';
import { type QuietHours, quietUntil } from './quiet-hours.ts';

/** So many messages a channel gets within a minute, one by one; what comes then is gathered into the next one. */
const calmMessages = 3;
const calmMs = 60_000;
const firstRetryMs = 10_000;
const longestRetryMs = 3_600_000;
/** What could not be delivered for so long is left, */
const giveUpMs = 86_400_000;
/** but not before so many tries, which take some hours: it may have come late itself. */
const fewestTries = 12;

export interface Delivery {
  /** One for each channel, of all that it is to be told now, oldest first. */
  messages: { channel: string; alerts: Alert[] }[];
  /** What will have become of each alert, given what became of the messages: null, it was delivered; or why it was not. */
  settle(results: ReadonlyMap<string, string | null>): AlertProgress[];
}

/**
 * What is to be delivered now of alerts that are due. `open`: those that stand about the same things; what only repeats one of them is
 * told as part of it. `told`: what each channel was told within the last minute.
 */
export function planDelivery(facts: {
  due: readonly Alert[];
  open: readonly Alert[];
  told: readonly { channel: string; at: number }[];
  channels: ReadonlyMap<string, { quiet: QuietHours | null }>;
  now: number;
}): Delivery {
  const { due, open, told, channels, now } = facts;
  const alike = Map.groupBy([...open, ...due], keyOf);
  const heads = new Map([...alike].map(([key, all]) => [key, headOf(all)]));
  const looks = due.map((alert) => {
    const first = heads.get(keyOf(alert)) ?? null;
    const head = first?.id === alert.id ? null : first;
    const done = [...alert.told.map(({ channel }) => channel), ...(head?.to ?? [])];
    return { alert, head, left: alert.to.filter((channel) => !done.includes(channel)) };
  });
  const heldUntil = new Map<string, number>();
  for (const [name, { quiet }] of channels) {
    const until = Math.max(quietUntil(quiet, now) ?? 0, calmUntil(told, name, now));
    if (until > now) heldUntil.set(name, until);
  }
  const names = [...new Set(looks.flatMap(({ left }) => left))].sort();
  const messages = names
    .filter((name) => channels.has(name) && !heldUntil.has(name))
    .map((channel) => ({
      channel,
      alerts: looks
        .filter(({ left }) => left.includes(channel))
        .map(({ alert }) => alert)
        .sort(olderFirst),
    }));
  return {
    messages,
    settle: (results) =>
      looks.map(({ alert, head, left }) => {
        const problems: string[] = [];
        const nexts: number[] = [];
        const nowTold: Alert['told'][number][] = [];
        // Held is not tried.
        const tries = alert.tries + (left.some((channel) => !heldUntil.has(channel)) ? 1 : 0);
        for (const channel of left) {
          const held = heldUntil.get(channel);
          const result = results.get(channel);
          if (held !== undefined) nexts.push(held);
          else if (result === null) nowTold.push({ channel, at: now });
          else {
            // A channel that is not there may be made, or made anew, and is then told.
            problems.push(`${channel}: ${result ?? 'there is no such channel'}`);
            if (now - alert.at < giveUpMs || tries < fewestTries) nexts.push(now + retryMs(tries));
          }
        }
        return {
          ...{ id: alert.id, tries, told: [...alert.told, ...nowTold] },
          due: nexts.length === 0 ? null : Math.min(...nexts),
          problem: problems.length === 0 ? null : problems.join('; '),
          // Only what had nothing left to tell of its own is a part: what went to a further channel stands by itself.
          partOf: head !== null && left.length === 0 ? head.id : null,
        };
      }),
  };
}

/** What is alike is of one kind, about the same, and from the same time of being unwell: what had ended before was another. */
const keyOf = ({ kind, about, open, endedAt }: Alert) => `${kind} ${about} ${open} ${endedAt}`;

/** The one that others alike repeat: one that was told, else the oldest. */
function headOf(alike: readonly Alert[]): Alert | null {
  const [head] = alike.toSorted(
    (a, b) => Number(b.told.length > 0) - Number(a.told.length > 0) || olderFirst(a, b),
  );
  return head ?? null;
}

function olderFirst(a: Alert, b: Alert): number {
  return a.at - b.at || (a.id < b.id ? -1 : 1);
}

function calmUntil(told: readonly { channel: string; at: number }[], name: string, now: number): number {
  const lately = told.filter(({ channel, at }) => channel === name && at > now - calmMs);
  return lately.length < calmMessages ? 0 : Math.max(...lately.map(({ at }) => at)) + calmMs;
}

function retryMs(tries: number): number {
  return Math.min(firstRetryMs * 2 ** (tries - 1), longestRetryMs);
}
