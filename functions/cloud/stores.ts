import { layout as layoutOf } from '#core/cluster/keys.ts';
import { oidcOf } from '#core/cluster/oidc-settings.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { StoreFinding } from '#core/model/store-finding.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { History } from '#core/ports/history.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Kv } from '#core/ports/kv.ts';
import { withPem } from '#core/stores/kv/etcd/pem.ts';
import { historyFindings, kvFindings, openHistory, openKv } from '#core/stores/open.ts';
import { takeFirstToken } from '../auth.ts';
import { keptClient } from './kept-client.ts';
import { type CloudSettings, readCloudSettings } from './settings.ts';
import { settingsOfNow } from './settings-of-now.ts';
import { unaryHistory, unaryKv } from './unary.ts';

export interface CloudHost {
  /** Where the settings are: a path of Parameter Store. */
  path: string;
  clock: Clock;
  ids: Ids;
  events: Events;
}

/** Both stores, and who says who people are, as the settings of now say. Nothing is read, loaded or opened before it is needed. */
export function cloudStores({ path, clock, ids, events }: CloudHost) {
  const layout = layoutOf();
  const settings = settingsOfNow({
    async read() {
      // Loading its SDK costs more than all the rest of a cold start: only who needs a store pays for it.
      const { readParameters } = await import('#core/stores/parameter-store.ts');
      return readCloudSettings(path, await readParameters(path));
    },
    clock,
    events,
  });
  let firstToken: string | null = null;
  const kvUrl = (now: CloudSettings): string => {
    firstToken = now['first-token'];
    // A certificate that was renewed is another URL, and another client.
    return withPem(now.kv, { ca: now['kv-ca'], cert: now['kv-cert'], key: now['kv-key'] });
  };
  const useKv = keptClient<Kv>({
    ...{ store: 'kv', clock, events },
    url: () => settings.now().then(kvUrl),
    urlAgain: () => settings.again().then(kvUrl),
    async open(url) {
      const kv = await openKv(url, clock, ids);
      if (firstToken !== null) await takeFirstToken({ kv, layout, clock }, firstToken);
      return kv;
    },
  });
  const useHistory = keptClient<History>({
    ...{ store: 'history', clock, events },
    url: () => settings.now().then(({ history }) => history),
    urlAgain: () => settings.again().then(({ history }) => history),
    open: (url) => openHistory(url, clock),
  });
  const oidc = () => settings.now().then(oidcOf);
  /** Seen anew, by clients of their own: what opening them refuses is what somebody wants to know. */
  async function storeFindings(): Promise<StoreFinding[]> {
    const now = await settings.now();
    const refused = (error: unknown): StoreFinding[] => {
      if (!(error instanceof Refusal)) throw error;
      return [{ code: error.code, level: 'error', message: error.message }];
    };
    const both = await Promise.all([
      kvFindings(kvUrl(now), clock, ids, 'api').catch(refused),
      historyFindings(now.history, clock).catch(refused),
    ]);
    return both.flat();
  }
  return { layout, kv: unaryKv(useKv), history: unaryHistory(useHistory), oidc, storeFindings };
}
