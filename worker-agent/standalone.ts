import { mkdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { pino } from 'pino';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { Refusal } from '#core/model/refusal.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { createApp } from '#functions/app.ts';
import { authenticator, createToken } from '#functions/auth.ts';
import type { SiteFile } from '#functions/deps.ts';
import { createAgent } from './agent.ts';
import { readClientFile, writeClientFile } from './client-file.ts';
import { logEvent } from './event-log.ts';
import { eventMetrics } from './event-metrics.ts';
import { agentId, firstLine, hostFacts, hostLoad } from './host-facts.ts';
import { logLine } from './log-lines.ts';
import { rememberedIn } from './remembered.ts';
import { createRunner } from './runner/create.ts';
import { isDiskFull } from './runner/faults.ts';
import type { Settings } from './settings.ts';
import { createLedger } from './shipper/create-ledger.ts';
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

/** How often History forgets what has expired. */
const expireEveryMs = 60_000;

interface HostParts {
  version: string;
  site: ((path: string) => SiteFile | null) | null;
}

/**
 * One machine: stores, API, site and agent in this process, served on loopback. Refusals: `port_taken`, `disk_full`, and what opening
 * the stores refuses.
 */
export async function startStandalone(settings: Settings, host: HostParts): Promise<Standalone> {
  try {
    return await start(settings, host);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw new Refusal(
      'disk_full',
      `--data ${settings.data}: its disk is full (${error instanceof Error ? error.message : error}); make room, or choose another folder`,
    );
  }
}

async function start(settings: Settings, host: HostParts): Promise<Standalone> {
  keepYoungHeapSmall();
  const data = settings.data;
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const clock = systemClock();
  const ids = systemIds();
  const events = eventBus();
  const stderr = pino.destination({ dest: 2, sync: true });
  // JSON for whatever collects it; lines for who started this in a terminal and looks on.
  const lines = { write: (line: string) => void stderr.write(logLine(line)) };
  const logger = pino({ level: settings.logLevel }, process.stderr.isTTY ? lines : stderr);
  events.on((event) => logEvent(logger, event));

  const kv = await openKv(settings.kv ?? `sqlite:${join(data, 'kv.sqlite')}`, clock, ids);
  const history = await openHistory(settings.history ?? `sqlite:${join(data, 'history.sqlite')}`, clock);
  const layout = layoutOf();
  const facts = hostFacts();
  const idFile = join(data, 'agent-id');
  const id = settings.id ?? agentId(() => firstLine(idFile), facts.host);
  writeFileSync(idFile, `${id}\n`, { mode: 0o600 });

  const ledger = createLedger({ dir: join(data, 'spool'), history, clock, ids, events });
  const runner = createRunner({
    dir: data,
    clock,
    ids,
    ledger,
    events,
    env: process.env,
    platform: process.platform,
  });
  const metrics = eventMetrics(() => runner.count());
  events.on(metrics.see);
  const agent = createAgent({
    ...{ kv, layout, clock, ids, events, ledger, runner, memory: rememberedIn(data, events) },
    settings: { ...facts, id, labels: settings.labels, capacity: settings.capacity, version: host.version },
    report(load) {
      // Load figures are for looking at: a History that is away is told of elsewhere.
      history.saveLoad({ ...load, ...hostLoad() }).catch(() => {});
    },
  });

  let address: AddressInfo | null = null;
  const name = settings.listen.host.includes(':') ? `[${settings.listen.host}]` : settings.listen.host;
  const loopback = /^(127\.|localhost$|::1$)/.test(settings.listen.host);
  const app = createApp({
    ...{ kv, history, layout, clock, ids, events, version: host.version, metrics: metrics.text },
    ...(host.site === null ? {} : { site: host.site }),
    ...{ zone: Intl.DateTimeFormat().resolvedOptions().timeZone, fetch: globalThis.fetch },
    ...(loopback ? { allowedHosts: () => hostsOf(name.toLowerCase(), address?.port) } : {}),
  });
  const server = serve({ fetch: app.fetch, hostname: settings.listen.host, port: settings.listen.port });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('listening', resolve);
      server.once('error', reject);
    });
  } catch (error) {
    await kv.close();
    await history.close();
    const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    throw taken
      ? new Refusal(
          'port_taken',
          `--listen ${name}:${settings.listen.port}: is in use already; expected a free port (0 takes one)`,
        )
      : error;
  }
  address = server.address() as AddressInfo;
  const url = `http://${name}:${address.port}`;

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
  const shipping = new AbortController();
  const working = agent.run(stop.signal);
  const shipped = ledger.run(shipping.signal);
  let cancelExpiry = () => {};
  const expire = () => {
    // The next round takes what this one could not.
    history
      .expire(clock.now())
      .catch((error: unknown) =>
        events.emit({ type: 'agent.fault', worker: id, where: 'history.expire', error }),
      );
    cancelExpiry = clock.after(expireEveryMs, expire);
  };
  expire();

  const failed = Promise.all([working, shipped]).then(() => new Promise<never>(() => {}));
  return {
    url,
    token,
    failed,
    async stop() {
      cancelExpiry();
      stop.abort();
      await Promise.allSettled([working]);
      shipping.abort();
      await Promise.allSettled([shipped]);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      });
      await history.close();
      await kv.close();
    },
  };
}

/** How a browser on this machine may call a server on loopback; of port 80 it says nothing. */
function hostsOf(name: string, port: number | undefined): string[] {
  const names = [...new Set(['127.0.0.1', 'localhost', '[::1]', name])];
  return names.flatMap((one) => (port === 80 ? [one, `${one}:80`] : [`${one}:${port}`]));
}
