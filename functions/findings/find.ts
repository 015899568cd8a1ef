import { listChannels } from '#core/cluster/channels.ts';
import { lastLook } from '#core/cluster/last-look.ts';
import { lookOut } from '#core/cluster/look-out.ts';
import { listTokens } from '#core/cluster/tokens.ts';
import { maxSkewMs } from '#core/decide/placement.ts';
import { HistoryError } from '#core/ports/history.ts';
import { KvError } from '#core/ports/kv.ts';
import type { AppDeps } from '../deps.ts';
import { error, type ServerFinding } from './finding.ts';
import { fleetFindings } from './of-fleet.ts';
import { alertFindings, tokenFindings } from './of-people.ts';

const newestAlerts = 500;

/** All that is not as it should be, as far as it is seen from here: stores, fleet, clock, alerts, tokens. Nothing where all is well. */
export async function findAll(deps: AppDeps): Promise<ServerFinding[]> {
  const { kv, layout, history, clock, skewMs, storeFindings, version } = deps;
  const found = await Promise.all([
    storeFindings?.().then((all) =>
      all.map(({ level, code, message }) => ({ level, code, what: message, advice: '' })),
    ) ?? [],
    ofClock(skewMs),
    asked(async () => {
      const [last, seen] = await Promise.all([
        lastLook(kv, layout),
        lookOut({ kv, layout, now: () => clock.now() }, history),
      ]);
      return fleetFindings(seen, last, version);
    }),
    asked(async () => {
      const [channels, { items }] = await Promise.all([
        listChannels(kv, layout),
        history.alerts({ limit: newestAlerts }),
      ]);
      return alertFindings(channels, items);
    }),
    asked(async () => tokenFindings(await listTokens(kv, layout))),
  ]);
  // A store that is away is away for each of them.
  const byText = new Map(found.flat().map((one) => [`${one.code} ${one.what}`, one]));
  return [...byText.values()];
}

function ofClock(skewMs: AppDeps['skewMs']): ServerFinding[] {
  const skew = skewMs === undefined ? 0 : skewMs();
  if (skew === null || Math.abs(skew) <= maxSkewMs) return [];
  return [
    error(
      'clock_skewed',
      `the server's clock is ${skew} ms off MongoDB's: it refuses to save jobs`,
      'let both be set by NTP: timedatectl set-ntp true',
    ),
  ];
}

/** What a store that is away, or refuses, leaves unseen is said in its place. */
async function asked(look: () => Promise<ServerFinding[]>): Promise<ServerFinding[]> {
  try {
    return await look();
  } catch (fault) {
    if (fault instanceof KvError)
      return [error('kv_away', `etcd does not answer the server: ${fault.message}`, 'runbook, store_away')];
    if (fault instanceof HistoryError)
      return [
        error('history_away', `MongoDB does not answer the server: ${fault.message}`, 'runbook, store_away'),
      ];
    throw fault;
  }
}
