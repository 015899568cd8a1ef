import { join } from 'node:path';
import { keepWatching } from '#functions/alerts/keep-watching.ts';
import { createApp } from '#functions/app.ts';
import { authenticator, createToken } from '#functions/auth.ts';
import type { SiteFile } from '#functions/deps.ts';
import { keepForgetting } from '#functions/expiry.ts';
import { listener } from '#functions/listener.ts';
import { tellProvider } from '#functions/oidc/findings.ts';
import { readClientFile, writeClientFile } from './client-file.ts';
import { makeDataFolder, sayingDiskFull } from './data-folder.ts';
import { createHostAgent } from './host-agent.ts';
import { openParts, thisProcess } from './process-parts.ts';
import type { Settings } from './settings.ts';
import { tellFindings } from './tell-findings.ts';
import { keepYoungHeapSmall } from './young-heap.ts';

export interface Standalone {
  /** Where it serves, without the token. */
  url: string;
  token: string;
  /** Settles when everything has been stopped; living jobs live on. */
  stop(): Promise<void>;
  /** Rejects when a part of it fails. */
  failed: Promise<never>;
}

interface HostParts {
  version: string;
  site: ((path: string) => SiteFile | null) | null;
}

/**
 * One machine: stores, API, site and agent in this process, served on loopback. Refusals: `port_taken`, `disk_full`, and what opening
 * the stores refuses.
 */
export function startStandalone(settings: Settings, host: HostParts): Promise<Standalone> {
  return sayingDiskFull(settings.data, () => start(settings, host));
}

async function start(settings: Settings, host: HostParts): Promise<Standalone> {
  // Before anything is read: a heap that has grown stays so.
  keepYoungHeapSmall();
  const data = settings.data;
  makeDataFolder(data);
  const stores = {
    kv: settings.kv ?? `sqlite:${join(data, 'kv.sqlite')}`,
    history: settings.history ?? `sqlite:${join(data, 'history.sqlite')}`,
  };
  const parts = await openParts(settings, { kind: 'up', version: host.version, stores });
  const { clock, ids, events, metrics, kv, history, layout, reference } = parts;
  const agent = createHostAgent({ ...parts, ...thisProcess(), settings, version: host.version });
  metrics.watchAgent(agent.figures);

  const port = listener(settings.listen);
  const app = createApp({
    ...{ kv, history, layout, clock, ids, events, version: host.version, metrics: metrics.text },
    ...(host.site === null ? {} : { site: host.site }),
    ...{ zone: Intl.DateTimeFormat().resolvedOptions().timeZone, fetch: globalThis.fetch },
    oidc: async () => settings.oidc,
    skewMs: reference.skewMs,
    ...(port.hosts === null ? {} : { allowedHosts: port.hosts }),
  });
  let url: string;
  try {
    url = await port.listen(app.fetch);
  } catch (error) {
    await agent.stop();
    await parts.close();
    throw error;
  }

  const known = readClientFile(data);
  const auth = authenticator({ kv, layout, clock });
  const good =
    known !== null &&
    (await auth.caller(`Bearer ${known.token}`).then(
      () => true,
      () => false,
    ));
  const token = good
    ? known.token
    : (
        await createToken(
          { kv, layout, clock, ids },
          { name: 'local', role: 'admin', groups: null, by: 'up' },
        )
      ).text;
  writeClientFile(data, { url, token, pid: process.pid });

  const stop = new AbortController();
  const forgetting = keepForgetting({ history, clock }, stop.signal, (error) =>
    events.emit({ type: 'server.fault', where: 'history.expire', error }),
  );
  const watching = keepWatching(
    { kv, layout, history, clock, ids, events, fetch: globalThis.fetch },
    stop.signal,
  );
  void tellFindings(settings, { clock, ids, events, part: null });
  void tellProvider(settings.oidc, { clock, events, fetch: globalThis.fetch });
  const failed = agent.run().then(() => new Promise<never>(() => {}));
  return {
    url,
    token,
    failed,
    async stop() {
      stop.abort();
      await agent.stop();
      await port.close();
      await Promise.all([forgetting, watching]);
      await parts.close();
    },
  };
}
