import type { Context } from 'hono';
import { HistoryError } from '#core/ports/history.ts';
import { KvError, prefixRange } from '#core/ports/kv.ts';
import type { Authenticator } from './auth.ts';
import type { AppDeps, Env } from './deps.ts';
import { iso } from './views.ts';

/** A store that takes longer is as good as away, for whoever asks how it is. */
const patienceMs = 5_000;

/** How a store is: null, it answers; else since when it was seen from here not to, and why as far as codes tell. */
type Trouble = { since: string; why: string } | null;

/** Whether the stores answer; which of them does not, and the version, is told only to who has a token. */
export function healthOf({ kv, history, layout, version, clock }: AppDeps, authentic: Authenticator) {
  const pings = {
    kv: () => kv.range(prefixRange(layout.drains), { countOnly: true }),
    history: () => history.now(),
  };
  type Store = keyof typeof pings;
  const awaySince = new Map<Store, number>();

  async function look(store: Store): Promise<Trouble> {
    const asked = clock.now();
    const late = Promise.withResolvers<string>();
    const cancel = clock.after(patienceMs, () => late.resolve(`no answer within ${patienceMs / 1_000} s`));
    const answer = pings[store]().then(() => null, codesOf);
    const why = await Promise.race([answer, late.promise]).finally(cancel);
    if (why === null) {
      awaySince.delete(store);
      return null;
    }
    const since = awaySince.get(store) ?? asked;
    awaySince.set(store, since);
    return { since: iso(since), why };
  }

  return async (c: Context<Env>): Promise<Response> => {
    const [kvTrouble, historyTrouble, known] = await Promise.all([
      look('kv'),
      look('history'),
      // Whoever has no token, or can't be looked up at the moment, is told the less.
      authentic.caller(c.req.header('authorization')).catch(() => null),
    ]);
    const well = kvTrouble === null && historyTrouble === null;
    const status = well ? 'ok' : 'degraded';
    const said = (trouble: Trouble) => (trouble === null ? 'ok' : 'away');
    const full = {
      ...{ status, version, stores: { kv: said(kvTrouble), history: said(historyTrouble) } },
      away: {
        ...(kvTrouble === null ? {} : { kv: kvTrouble }),
        ...(historyTrouble === null ? {} : { history: historyTrouble }),
      },
    };
    return c.json(known === null ? { status } : full, well ? 200 : 503, { 'cache-control': 'no-store' });
  };
}

/** Of a fault its code, and that of the system or of TLS below it: no more of its text, which names hosts and users. */
function codesOf(error: unknown): string {
  const own = error instanceof KvError || error instanceof HistoryError ? error.code : 'fault';
  const text = error instanceof Error ? error.message : '';
  const [below] =
    /\b(?:E[A-Z]{3,}[A-Z0-9]*|(?:CERT|ERR_TLS|DEPTH|SELF_SIGNED|UNABLE_TO)_[A-Z_]+)\b/.exec(text) ?? [];
  return below === undefined ? own : `${own} (${below})`;
}
