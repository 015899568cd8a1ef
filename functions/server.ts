import { openParts } from '#agent/process-parts.ts';
import { type Settings, sharedStores } from '#agent/settings.ts';
import { findingsOf, tellFindings } from '#agent/tell-findings.ts';
import { listTokens } from '#core/cluster/tokens.ts';
import { sleep } from '#core/ports/clock.ts';
import { keepWatching } from './alerts/keep-watching.ts';
import { createApp } from './app.ts';
import type { SiteFile } from './deps.ts';
import { keepForgetting } from './expiry.ts';
import { listener } from './listener.ts';
import { tellProvider } from './oidc/findings.ts';

/** What a server that is stopped may still take to answer: another one goes on with what it cuts off. */
const patienceMs = 3_000;

export interface ServerProcess {
  url: string;
  /** Whether the store holds a token, so that somebody may ask something; null: it could not be asked. */
  hasToken: boolean | null;
  /** Settles when everything has been stopped. */
  stop(): Promise<void>;
}

/** API and site of a fleet, one of several: what one server knows, all know, for it is in the stores. Refusals `settings_invalid`, `port_taken`. */
export async function startServer(
  settings: Settings,
  host: { version: string; site: ((path: string) => SiteFile | null) | null },
): Promise<ServerProcess> {
  const stores = sharedStores(settings);
  const parts = await openParts(settings, { kind: 'server', version: host.version, stores });
  const { clock, ids, events, metrics, kv, history, layout, reference } = parts;
  // Behind nginx it is called by names of which it knows nothing, so any Host is answered: nothing is open but by a token.
  const app = createApp({
    ...{ kv, history, layout, clock, ids, events, version: host.version, metrics: metrics.text },
    ...(host.site === null ? {} : { site: host.site }),
    ...{ skewMs: reference.skewMs, fetch: globalThis.fetch, oidc: async () => settings.oidc },
    storeFindings: async () =>
      (await findingsOf(stores, { clock, ids, part: 'api' })).map(({ finding }) => finding),
  });
  const port = listener(settings.listen);
  const url = await port.listen(app.fetch);
  const stop = new AbortController();
  const forgetting = keepForgetting({ history, clock }, stop.signal, (error) =>
    events.emit({ type: 'server.fault', where: 'history.expire', error }),
  );
  const watching = keepWatching(
    { kv, layout, history, clock, ids, events, fetch: globalThis.fetch },
    stop.signal,
  );
  void tellFindings(stores, { clock, ids, events, part: 'api' });
  void tellProvider(settings.oidc, { clock, events, fetch: globalThis.fetch });
  const measuring = reference.run(stop.signal);
  const hasToken = await listTokens(kv, layout).then(
    (tokens) => tokens.length > 0,
    () => null,
  );
  return {
    url,
    hasToken,
    async stop() {
      stop.abort();
      const closed = new AbortController();
      await port.close(sleep(clock, patienceMs, closed.signal));
      closed.abort();
      await Promise.all([forgetting, watching, measuring]);
      await parts.close();
    },
  };
}
