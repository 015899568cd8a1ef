import { listChannels, type NamedChannel } from '#core/cluster/channels.ts';
import type { LookOut } from '#core/cluster/look-out.ts';
import { fleetAlerts } from '#core/decide/alerts/fleet-alerts.ts';
import { fleetRecovery } from '#core/decide/alerts/recovery.ts';
import { lateAlert } from '#core/decide/alerts/run-alerts.ts';
import type { Alert } from '#core/model/alert.ts';
import type { Heed } from '../watch.ts';
import type { DeliverDeps } from './deliver.ts';
import { isOfFleet } from './take-back.ts';

const pageAlerts = 1_000;

/** Puts what a look found, and no worker reports, into the outbox, and takes back what is over. */
export function raiseAlerts(deps: Pick<DeliverDeps, 'kv' | 'layout' | 'history' | 'events'>): Heed {
  return async (seen) => await raise(deps, seen, await listChannels(deps.kv, deps.layout));
}

async function raise(
  { history, events }: Pick<DeliverDeps, 'history' | 'events'>,
  seen: LookOut,
  channels: readonly NamedChannel[],
): Promise<void> {
  const open = (await standing(history)).filter((alert) => isOfFleet(alert) && alert.kind !== 'store_away');
  const { raised, over } = fleetAlerts({ now: seen.at, ...seen }, open, channels);
  const late = seen.bounded.flatMap(({ job, run }) => lateAlert(job, run, seen.at) ?? []);
  const recoveries = [...Map.groupBy(over, ({ kind, about }) => `${kind} ${about}`).values()].map((alerts) =>
    fleetRecovery(alerts, seen.at),
  );
  for (const { id, title } of raised) events.emit({ type: 'alert.raised', id, title });
  await history.addAlerts([...raised, ...late, ...recoveries.flatMap(({ notice }) => notice ?? [])]);
  await history.endAlerts(
    recoveries.flatMap(({ withdrawn }) => withdrawn),
    seen.at,
    true,
  );
  await history.endAlerts(
    recoveries.flatMap(({ over: ended }) => ended),
    seen.at,
    false,
  );
}

async function standing(history: DeliverDeps['history']): Promise<Alert[]> {
  const found: Alert[] = [];
  for (let after = ''; ; ) {
    const page = await history.openAlerts({ after, limit: pageAlerts });
    found.push(...page);
    const last = page.at(-1);
    if (page.length < pageAlerts || last === undefined) return found;
    after = last.about;
  }
}
