import type { NamedChannel } from '#core/cluster/channels.ts';
import { fleetRecovery } from '#core/decide/alerts/recovery.ts';
import { type Alert, newAlert } from '#core/model/alert.ts';
import { KvError } from '#core/ports/kv.ts';
import type { DeliverDeps } from './deliver.ts';
import { historyAway } from './history-away.ts';

/** A store that answers again by then was restarted, or has chosen another leader. */
const patienceMs = 30_000;
const pingDeadlineMs = 15_000;

type Deps = Pick<DeliverDeps, 'kv' | 'layout' | 'history' | 'clock' | 'ids' | 'events' | 'fetch'>;

/** What of a store's being away is known here. */
interface Standing {
  /** Boot ms of the first look that got no answer. */
  since: number | null;
  /** Of it, or of its end, has been told whatever is to be told. */
  told: boolean;
}

/**
 * Watches whether the stores answer. Of the store of jobs the outbox tells, to the channels as they were last known.
 */
export function storeWatch(deps: Deps, channels: () => readonly NamedChannel[]) {
  const { kv, layout, history, clock } = deps;
  const pings = {
    // A write that never comes to be: a store may answer, and take nothing.
    kv: () =>
      kv.txn({
        compare: [{ key: layout.alert('history'), target: 'version', op: '<', version: 0 }],
        then: [{ type: 'put', key: layout.alert('history'), value: '' }],
      }),
    history: () => history.now(),
  };
  const sayings = {
    kv: { gone: kvGone, back: kvBack },
    history: { gone: historyGone, back: historyBack },
  };
  // Not told: what an earlier life of this server, or another, has said may be over.
  const standing: Record<keyof typeof pings, Standing> = {
    kv: { since: null, told: false },
    history: { since: null, told: false },
  };

  const away = historyAway(deps, channels);

  const toldOf = () => channels().filter(({ on }) => on.includes('store_away'));

  function alertOf(store: keyof typeof pings, error: unknown): Alert {
    const names = toldOf().map(({ name }) => name);
    const at = clock.now();
    const [what, then] =
      store === 'kv'
        ? ['the store of jobs', 'nothing new starts until it does; what runs lives on']
        : ['the history', 'runs go on; their records and output wait on the workers'];
    return newAlert({
      ...{ id: `store_away~${store}~${Math.floor(at / 60_000) * 60_000}`, kind: 'store_away' },
      ...{ about: `store:${store}`, at, to: names, recoverTo: names },
      title: `${what} ${error instanceof KvError && error.code === 'full' ? 'is out of space' : 'does not answer'}`,
      text: `${then}\n${error instanceof Error ? error.message : error}`,
    });
  }

  async function kvGone(why: unknown): Promise<boolean> {
    const known = await history.openAlerts({ abouts: ['store:kv'] });
    const alert = { ...alertOf('kv', why), due: await history.now() };
    if (known.length === 0 && alert.to.length > 0) await history.addAlerts([alert]);
    return true;
  }

  async function kvBack(): Promise<boolean> {
    const [open, now] = await Promise.all([history.openAlerts({ abouts: ['store:kv'] }), history.now()]);
    const { over, withdrawn, notice } = fleetRecovery(open, now);
    await history.addAlerts(notice === null ? [] : [notice]);
    await history.endAlerts(withdrawn, now, true);
    await history.endAlerts(over, now, false);
    return true;
  }

  /** What is left to tell is told at a next look. */
  function historyGone(why: unknown): Promise<boolean> {
    return away.gone(alertOf('history', why));
  }

  function historyBack(): Promise<boolean> {
    const alert = alertOf('history', '');
    return away.back({ ...alert, kind: 'recovered', title: 'the history answers again', text: '' });
  }

  async function look(store: keyof typeof pings): Promise<void> {
    const one = standing[store];
    const why = await answered(pings[store]);
    if (why === null) {
      if (one.since === null && one.told) return;
      standing[store] = { since: null, told: await sayings[store].back() };
      return;
    }
    if (one.since === null) standing[store] = { since: clock.boot(), told: false };
    const { since, told } = standing[store];
    if (told || clock.boot() - (since ?? 0) < patienceMs) return;
    standing[store] = { since, told: await sayings[store].gone(why) };
  }

  /** Null: it answered; else what is wrong. */
  async function answered(ping: () => Promise<unknown>): Promise<unknown> {
    const late = Promise.withResolvers<string>();
    const cancel = clock.after(pingDeadlineMs, () =>
      late.resolve(`no answer within ${pingDeadlineMs / 1_000} s`),
    );
    const said = ping().then(
      () => null,
      (error: unknown) => error,
    );
    return await Promise.race([said, late.promise]).finally(cancel);
  }

  return {
    async look(): Promise<void> {
      const looks = await Promise.allSettled([look('kv'), look('history')]);
      const failed = looks.find((one) => one.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
}
