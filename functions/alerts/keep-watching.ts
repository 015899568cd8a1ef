import { payAudits } from '#core/cluster/audits.ts';
import { listChannels, type NamedChannel } from '#core/cluster/channels.ts';
import type { LookOut } from '#core/cluster/look-out.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import { KvError } from '#core/ports/kv.ts';
import type { AppDeps } from '../deps.ts';
import { type Heed, watch } from '../watch.ts';
import { deliverAlerts } from './deliver.ts';
import { raiseAlerts } from './raise.ts';
import { storeWatch } from './store-watch.ts';
import { takeBack } from './take-back.ts';

/** How soon an alert goes out, and what is over is said to be. */
const deliverMs = 5_000;
/** How often the whole fleet is looked at. */
const lookMs = 60_000;
const storesMs = 10_000;

export type WatchDeps = Pick<AppDeps, 'kv' | 'layout' | 'history' | 'clock' | 'ids' | 'events' | 'fetch'>;

/** One whole turn of the watchdog, as a scheduled function does it. What can't be seen keeps nobody from being told what is known. */
export async function watchOnce(deps: WatchDeps, heeds: readonly Heed[]): Promise<LookOut> {
  const [seen] = await Promise.allSettled([watch(deps, [...heeds, raiseAlerts(deps)])]);
  let after = '';
  do after = await takeBack(deps, after);
  while (after !== '');
  await deliverAlerts(deps, await listChannels(deps.kv, deps.layout));
  await payAudits(deps);
  if (seen.status === 'rejected') throw seen.reason;
  return seen.value;
}

/** The watchdog as timers of a server, until `stop`. Several servers may watch the same fleet. */
export async function keepWatching(deps: WatchDeps, stop: AbortSignal): Promise<void> {
  let after = '';
  /** As they were last read: of a store of jobs that is away somebody has to be told all the same. */
  let channels: readonly NamedChannel[] = [];
  const away = storeWatch(deps, () => channels);
  await Promise.all([
    every(deps, lookMs, 'watchdog.look', stop, async () => void (await watch(deps, [raiseAlerts(deps)]))),
    every(deps, deliverMs, 'watchdog.recover', stop, async () => {
      after = await takeBack(deps, after);
    }),
    every(deps, deliverMs, 'watchdog.deliver', stop, async () => {
      channels = await listChannels(deps.kv, deps.layout).catch((error: unknown) => {
        if (!(error instanceof KvError)) throw error;
        return channels;
      });
      await deliverAlerts(deps, channels);
    }),
    every(deps, deliverMs, 'watchdog.audits', stop, async () => await payAudits(deps)),
    every(deps, storesMs, 'watchdog.stores', stop, away.look, 0),
  ]);
}

async function every(
  { clock, events }: Pick<WatchDeps, 'events'> & { clock: Clock },
  ms: number,
  where: string,
  stop: AbortSignal,
  work: () => Promise<void>,
  firstMs = ms,
): Promise<void> {
  let failing = false;
  for (let wait = firstMs; ; wait = ms) {
    await sleep(clock, wait, stop);
    if (stop.aborted) return;
    try {
      await work();
      failing = false;
    } catch (error) {
      // A store that is away; the next turn finds the same. Told once, for it may be away for an hour.
      if (!failing && !stop.aborted) events.emit({ type: 'server.fault', where, error });
      failing = true;
    }
  }
}
