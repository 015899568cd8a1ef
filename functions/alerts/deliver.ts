import type { NamedChannel } from '#core/cluster/channels.ts';
import { planDelivery } from '#core/decide/alerts/delivery.ts';
import type { Alert } from '#core/model/alert.ts';
import type { AppDeps } from '../deps.ts';
import { messageOf } from './message.ts';
import { send } from './send.ts';

/** What delivering needs. */
export type DeliverDeps = Pick<AppDeps, 'kv' | 'layout' | 'history' | 'clock' | 'ids' | 'events' | 'fetch'>;

/** Longer than all of a round may take: webhooks are let go after 10 s, mail servers after 25, all at the same time. */
const claimMs = 120_000;
const roundAlerts = 1_000;
/** What is left then waits for the next look. */
const mostRounds = 10;
const calmMs = 60_000;

/**
 * Delivers the alerts that are due, of all channels at once. Any number may do it at the same time: one of them does, and the others find
 * nothing. Whoever dies in the middle leaves it to the others, two minutes later, so that what it told may be told again: by the same id. The
 * time is History's: a watchdog whose clock is an hour ahead would shut the others out for an hour.
 */
export async function deliverAlerts(deps: DeliverDeps, channels: readonly NamedChannel[]): Promise<void> {
  const { history, ids } = deps;
  const by = ids.id();
  const now = await history.now();
  const due: Alert[] = [];
  for (let round = 0; round < mostRounds; round++) {
    const some = await history.claimAlerts({ by, now, until: now + claimMs, limit: roundAlerts });
    due.push(...some);
    if (some.length < roundAlerts) break;
  }
  if (due.length === 0) return;
  const [open, told] = await Promise.all([
    history.openAlerts({ abouts: due.map(({ about }) => about) }),
    history.toldSince(now - calmMs),
  ]);
  const byName = new Map(channels.map((channel) => [channel.name, channel]));
  const plan = planDelivery({ due, open, told, channels: byName, now });
  const results = await Promise.all(
    plan.messages.map(async ({ channel, alerts }) => {
      const value = byName.get(channel);
      if (value === undefined) return [channel, 'there is no such channel'] as const;
      return [channel, await tell(deps, value, alerts)] as const;
    }),
  );
  await history.settleAlerts(by, plan.settle(new Map(results)));
}

/** Null: it was delivered; else why not. */
export async function tell(
  deps: Pick<DeliverDeps, 'clock' | 'events' | 'fetch'>,
  channel: NamedChannel,
  alerts: readonly Alert[],
): Promise<string | null> {
  const { delivered, detail } = await send(deps, channel, messageOf(alerts));
  const about = { channel: channel.name, ids: alerts.map(({ id }) => id) };
  deps.events.emit(
    delivered ? { type: 'alert.told', ...about } : { type: 'alert.untold', ...about, problem: detail },
  );
  return delivered ? null : detail;
}
