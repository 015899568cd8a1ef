import { sayingDiskFull } from './data-folder.ts';
import { createHostAgent } from './host-agent.ts';
import { metricsPort } from './metrics-port.ts';
import { openParts, thisProcess } from './process-parts.ts';
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
  const parts = await openParts(settings, { kind: 'agent', version: host.version, stores });
  const { clock, ids, events, metrics } = parts;
  const agent = createHostAgent({ ...parts, ...thisProcess(), settings, version: host.version });
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
      await parts.close();
    },
  };
}
