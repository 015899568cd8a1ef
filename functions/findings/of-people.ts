import type { NamedChannel } from '#core/cluster/channels.ts';
import type { TokenValue } from '#core/cluster/records.ts';
import type { Alert } from '#core/model/alert.ts';
import { error, type ServerFinding, some, warning } from './finding.ts';

/** Whether anybody hears of anything. `alerts`: the newest. Pure. */
export function alertFindings(channels: readonly NamedChannel[], alerts: readonly Alert[]): ServerFinding[] {
  const found: ServerFinding[] = [];
  if (channels.length === 0)
    found.push(
      warning('channels_none', 'nobody is told when something fails: there is no channel', 'README, Alerts'),
    );
  else if (channels.every(({ on }) => on.length === 0))
    found.push(
      warning(
        'channels_deaf',
        'no channel is told of the fleet itself: of dead workers, of stores that are away',
        `give one of them "on": ["worker_dead", "no_worker", "store_away", ...]: ${some(channels.map(({ name }) => name))}`,
      ),
    );
  const untold = alerts.filter(({ due, problem }) => due !== null && problem !== null);
  if (untold.length > 0) {
    const waiting = new Set(
      untold.flatMap(({ to, told }) => to.filter((name) => !told.some(({ channel }) => channel === name))),
    );
    found.push(
      error(
        'alerts_untold',
        `${untold.length} alerts could not be delivered to ${some([...waiting])}: ${untold[0]?.problem}`,
        'mend the channel, and try it: POST /api/v1/channels/NAME/test; what waits goes out by itself',
      ),
    );
  }
  return found;
}

/** The token that came by the settings is for the beginning: whoever reads those has it. Pure. */
export function tokenFindings(tokens: readonly TokenValue[]): ServerFinding[] {
  const first = tokens.find(({ createdBy }) => createdBy === 'settings');
  if (first === undefined) return [];
  const alone = tokens.length === 1;
  return [
    warning(
      'token_first',
      alone
        ? 'the first token is the only one, and whoever reads the settings has it'
        : 'the first token still holds, beside others',
      alone
        ? `cronfleet token create me --role admin, then by that one: cronfleet token revoke ${first.id}`
        : `cronfleet token revoke ${first.id}`,
    ),
  ];
}
