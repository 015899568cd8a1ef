import { payAudits } from '#core/cluster/audits.ts';
import { listChannels, type NamedChannel } from '#core/cluster/channels.ts';
import type { LookOut } from '#core/cluster/look-out.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import { HistoryError } from '#core/ports/history.ts';
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
  const every = turns(deps, stop);
  await Promise.all([
    every(lookMs, 'watchdog.look', async () => void (await watch(deps, [raiseAlerts(deps)]))),
    every(deliverMs, 'watchdog.recover', async () => {
      after = await takeBack(deps, after);
    }),
    every(deliverMs, 'watchdog.deliver', async () => {
      channels = await listChannels(deps.kv, deps.layout).catch((error: unknown) => {
        if (!(error instanceof KvError)) throw error;
        return channels;
      });
      await deliverAlerts(deps, channels);
    }),
    every(deliverMs, 'watchdog.audits', async () => await payAudits(deps)),
    every(storesMs, 'watchdog.stores', away.look, 0),
  ]);
}

/** Work that is done every so often, each by itself. What fails is told once, and of a store that is away once for all of them. */
function turns({ clock, events }: Pick<WatchDeps, 'events'> & { clock: Clock }, stop: AbortSignal) {
  const lacking = { kv: new Set<string>(), history: new Set<string>() };

  function lacks(store: keyof typeof lacking, where: string, message: string): void {
    if (lacking[store].size === 0) events.emit({ type: 'store.away', store, message });
    lacking[store].add(where);
  }

  function hasAll(where: string): void {
    for (const store of ['kv', 'history'] as const)
      if (lacking[store].delete(where) && lacking[store].size === 0)
        events.emit({ type: 'store.back', store });
  }

  return async (ms: number, where: string, work: () => Promise<void>, firstMs = ms): Promise<void> => {
    let failing = false;
    for (let wait = firstMs; ; wait = ms) {
      await sleep(clock, wait, stop);
      if (stop.aborted) return;
      try {
        await work();
        failing = false;
        hasAll(where);
      } catch (error) {
        if (stop.aborted) continue;
        const store = awayIn(error);
        // The next turn finds the same: told once, for it may be so for an hour.
        if (store !== null) lacks(store, where, (error as Error).message);
        else if (!failing) events.emit({ type: 'server.fault', where, error });
        failing = store === null;
      }
    }
  };
}

/** The store that does not answer, where an error says no more than that. */
function awayIn(error: unknown): 'kv' | 'history' | null {
  if (error instanceof HistoryError && error.code === 'unavailable') return 'history';
  return error instanceof KvError && error.code === 'unavailable' ? 'kv' : null;
}
