import { type Layout, layout as layoutOf } from '#core/cluster/keys.ts';
import { type ReferenceTime, referenceOf } from '#core/cluster/reference-time.ts';
import type { Clock } from '#core/ports/clock.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Events } from '#core/ports/events.ts';
import type { History } from '#core/ports/history.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Kv } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { meteredHistory, meteredKv } from '#core/stores/metered.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import type { createHostAgent } from './host-agent.ts';
import { type ProcessMetrics, processMetrics } from './metrics/process-metrics.ts';
import { logToStderr } from './process-log.ts';
import type { Settings } from './settings.ts';

/** What every daemon has, whatever it does with it. */
export interface ProcessParts {
  clock: Clock;
  ids: Ids;
  events: Events;
  metrics: ProcessMetrics;
  kv: Kv;
  history: History;
  layout: Layout;
  reference: ReferenceTime;
  /** Closes the stores: last of all. */
  close(): Promise<void>;
}

/** Opens the stores, has events logged and counted, and calls to the stores timed. Refusals: what opening the stores refuses. */
export async function openParts(
  settings: Pick<Settings, 'logLevel'>,
  host: { kind: 'agent' | 'server' | 'up'; version: string; stores: { kv: string; history: string } },
): Promise<ProcessParts> {
  const clock = systemClock();
  const ids = systemIds();
  const events = eventBus();
  logToStderr(events, { level: settings.logLevel, terminal: process.stderr.isTTY });
  const { kind, version, stores } = host;
  const metrics = processMetrics({ kind, version, skewMs: () => reference.skewMs() });
  events.on(metrics.see);
  const meter = { clock, see: metrics.seeCall };
  const kv = meteredKv(await openKv(stores.kv, clock, ids), meter);
  const history = meteredHistory(await openHistory(stores.history, clock), meter);
  const reference = referenceOf(stores.history, { history, clock });
  return {
    ...{ clock, ids, events, metrics, kv, history, layout: layoutOf(), reference },
    async close() {
      await history.close();
      await kv.close();
    },
  };
}

/** What an agent needs of the process that it runs in: jobs see an allow-list of its environment; `program` is how it is started. */
export function thisProcess(): Pick<Parameters<typeof createHostAgent>[0], 'env' | 'platform' | 'program'> {
  const { env, platform, execPath, execArgv, argv } = process;
  return { env, platform, program: [execPath, ...execArgv, argv[1] ?? ''] };
}
