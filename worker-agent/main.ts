import { referenceOf } from '#core/cluster/reference-time.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { meteredHistory, meteredKv } from '#core/stores/metered.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { sayingDiskFull } from './data-folder.ts';
import { createHostAgent } from './host-agent.ts';
import { processMetrics } from './metrics/process-metrics.ts';
import { metricsPort } from './metrics-port.ts';
import { logToStderr } from './process-log.ts';
import { type Settings, sharedStores } from './settings.ts';
import { tellFindings } from './tell-findings.ts';
import { keepYoungHeapSmall } from './young-heap.ts';

export interface AgentProcess {
  id: string;
  /** Where its metrics are; null: it was not asked for any. */
  metricsUrl: string | null;
  /** Settles when it is registered, has adopted its runs, and decides. */
  ready: Promise<void>;
  /** Rejects when a part of it fails. */
  failed: Promise<never>;
  /** Settles when everything has been stopped; living jobs live on. */
  stop(): Promise<void>;
}

/**
 * A worker of a fleet: the agent of this host on stores that others share. Refusals `settings_invalid`, `store_in_use`, `port_taken`,
 * `disk_full`, and what opening the stores refuses.
 */
export function startAgent(settings: Settings, host: { version: string }): Promise<AgentProcess> {
  return sayingDiskFull(settings.data, () => start(settings, host));
}

async function start(settings: Settings, host: { version: string }): Promise<AgentProcess> {
  // Before anything is read: a heap that has grown stays so.
  keepYoungHeapSmall();
  const stores = sharedStores(settings);
  const clock = systemClock();
  const ids = systemIds();
  const events = eventBus();
  logToStderr(events, { level: settings.logLevel, terminal: process.stderr.isTTY });
  const metrics = processMetrics({
    ...{ kind: 'agent', version: host.version },
    skewMs: () => reference.skewMs(),
  });
  events.on(metrics.see);
  const meter = { clock, see: metrics.seeCall };
  const kv = meteredKv(await openKv(stores.kv, clock, ids), meter);
  const history = meteredHistory(await openHistory(stores.history, clock), meter);
  const { env, platform, execPath, execArgv, argv } = process;
  const program = [execPath, ...execArgv, argv[1] ?? ''];
  const reference = referenceOf(stores.history, { history, clock });
  const agent = createHostAgent({
    ...{
      settings,
      version: host.version,
      kv,
      history,
      reference,
      clock,
      ids,
      events,
      env,
      platform,
      program,
    },
  });
  metrics.watchAgent(agent.figures);
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  events.on(({ type }) => type === 'agent.ready' && resolve());
  const port = settings.metrics === null ? null : await metricsPort(settings.metrics, metrics.text);
  void tellFindings(stores, { clock, ids, events, part: 'worker' });
  const failed = agent.run().then(() => new Promise<never>(() => {}));
  return {
    id: agent.id,
    metricsUrl: port?.url ?? null,
    ready,
    failed,
    async stop() {
      await agent.stop();
      await port?.close();
      await history.close();
      await kv.close();
    },
  };
}
