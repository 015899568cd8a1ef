import type { Alert } from '#core/model/alert.ts';

/** When somebody was last told of an alert; null: nobody yet. */
export function lastTold({ told }: Pick<Alert, 'told'>): number | null {
  return told.length === 0 ? null : Math.max(...told.map(({ at }) => at));
}

/** Every telling since then, oldest first; those that told several alerts at once count once. */
export function tellings(alerts: readonly Alert[], since: number): { channel: string; at: number }[] {
  const all = alerts.flatMap(({ told }) => told).filter(({ at }) => at >= since);
  const each = new Map(all.map((one) => [`${one.channel} ${one.at}`, one]));
  return [...each.values()].sort((a, b) => a.at - b.at);
}
