import type { Clock } from '#core/ports/clock.ts';
import type { History } from '#core/ports/history.ts';
import type { Kv } from '#core/ports/kv.ts';

/** Told of each call to a store when it has ended: how long it took, and with what it failed; null: it did not. */
export type SeeCall = (call: { store: 'kv' | 'history'; name: string; ms: number; error: unknown }) => void;

type Meter = { clock: Pick<Clock, 'boot'>; see: SeeCall };

/** What is a request and an answer counts; what lasts until it is stopped, or only waits, would say nothing. */
const kvCalls: Record<keyof Kv, boolean> = {
  ...{ range: true, txn: true, grant: true, renew: true, revoke: true, compact: true },
  ...{ follow: false, close: false },
};
const historyCalls: Record<keyof History, boolean> = {
  ...{ now: true, saveRuns: true, saveLogs: true, run: true, runs: true, covering: true, latest: true },
  ...{ log: true, search: true, stats: true, addAudit: true, audit: true, addAlerts: true, alerts: true },
  ...{ claimAlerts: true, settleAlerts: true, openAlerts: true, endAlerts: true, toldSince: true },
  ...{ saveLoad: true, loads: true, expire: true },
  ...{ waitForLog: false, close: false },
};

/** The same store, whose calls are told of. */
export function meteredKv(kv: Kv, meter: Meter): Kv {
  return metered('kv', kv, kvCalls, meter);
}

/** The same history, whose calls are told of. */
export function meteredHistory(history: History, meter: Meter): History {
  return metered('history', history, historyCalls, meter);
}

function metered<T extends Kv | History>(
  store: 'kv' | 'history',
  target: T,
  calls: Record<keyof T & string, boolean>,
  { clock, see }: Meter,
): T {
  const methods = target as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const wrapped = Object.entries<boolean>(calls).map(([name, counts]) => {
    const call = (methods[name] as (typeof methods)[string]).bind(target);
    if (!counts) return [name, call];
    return [
      name,
      async (...args: unknown[]) => {
        const began = clock.boot();
        let error: unknown = null;
        try {
          return await call(...args);
        } catch (thrown) {
          error = thrown;
          throw thrown;
        } finally {
          see({ store, name, ms: clock.boot() - began, error });
        }
      },
    ];
  });
  return Object.fromEntries(wrapped);
}
