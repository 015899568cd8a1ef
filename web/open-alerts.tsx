import { useQuery } from '@tanstack/preact-query';
import type { Alert, Client, Page } from './api.ts';

/** What the badge counts at most, and the first page of those that stand. */
export const openAlertsPath = '/alerts?open=true&limit=100';
export const alertsEveryMs = 5_000;

/** How many alerts stand, beside their link; nothing where none does. */
export function OpenAlerts({ call }: Pick<Client, 'call'>) {
  // The same query as the page's own first one.
  const { data } = useQuery({
    queryKey: [openAlertsPath, undefined],
    queryFn: () => call<Page<Alert>>('GET', openAlertsPath),
    refetchInterval: alertsEveryMs,
  });
  const count = data?.items.length ?? 0;
  if (count === 0) return null;
  return (
    <span class="badge rounded-pill text-bg-danger ms-1">
      {count}
      {data?.next === null ? '' : '+'}
      <span class="visually-hidden"> open</span>
    </span>
  );
}
