import { join } from 'node:path';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import type { ReferenceTime } from '#core/cluster/reference-time.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { History } from '#core/ports/history.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Kv } from '#core/ports/kv.ts';
import { createAgent } from './agent.ts';
import { openDataFolder } from './data-folder.ts';
import type { AgentFigures } from './figures.ts';
import { bootId, hostFacts, hostLoad } from './host-facts.ts';
import { rememberedIn } from './remembered.ts';
import { createRunner } from './runner/create.ts';
import type { Settings } from './settings.ts';
import { createLedger } from './shipper/create-ledger.ts';

/** How long a stop waits for History to hear of it. */
const goodbyeMs = 1_000;

export interface HostAgent {
  id: string;
  figures(): AgentFigures;
  /** Settles after `stop`; rejects with the fault that ended it before. */
  run(): Promise<void>;
  /** Settles when it has stopped, its spool is flushed as far as History takes it, and its folder is free; living jobs live on. */
  stop(): Promise<void>;
}

/** The agent of this host on its data folder: real processes, a spool on disk. Refusals `platform_unsupported`, `store_in_use`. */
export function createHostAgent(deps: {
  settings: Pick<Settings, 'data' | 'id' | 'labels' | 'capacity'>;
  version: string;
  kv: Kv;
  history: History;
  reference: ReferenceTime;
  clock: Clock;
  ids: Ids;
  events: Events;
  /** Of the process: jobs see an allow-list of it. */
  env: Record<string, string | undefined>;
  platform: string;
  /** How this very program is started. */
  program: readonly string[];
}): HostAgent {
  const { settings, history, clock, ids, events, env, platform, program } = deps;
  const facts = hostFacts();
  const folder = openDataFolder(settings.data, { id: settings.id, host: facts.host });
  const { path: dir, id } = folder;
  let reported: Promise<void> = Promise.resolve();
  const ledger = createLedger({ dir: join(dir, 'spool'), history, clock, ids, events });
  const runner = createRunner({ dir, clock, ids, ledger, events, env, platform, program });
  const agent = createAgent({
    ...{ kv: deps.kv, layout: layoutOf(), clock, ids, events, ledger, runner, reference: deps.reference },
    memory: rememberedIn(dir, bootId(), events),
    settings: { ...facts, id, labels: settings.labels, capacity: settings.capacity, version: deps.version },
    report(load) {
      // Load figures are for looking at: a History that is away is told of elsewhere.
      const before = load.left ? reported : Promise.resolve();
      reported = before.then(() => history.saveLoad({ ...load, ...hostLoad() })).catch(() => {});
    },
  });
  const stopping = new AbortController();
  const shipping = new AbortController();
  let working: Promise<void> = Promise.resolve();
  let shipped: Promise<void> = Promise.resolve();
  return {
    id,
    figures: () => ({ ...agent.figures(), living: runner.count(), spool: ledger.figures() }),
    run() {
      working = agent.run(stopping.signal);
      shipped = ledger.run(shipping.signal);
      return Promise.all([working, shipped]).then(() => {});
    },
    async stop() {
      stopping.abort();
      await Promise.allSettled([working]);
      shipping.abort();
      await Promise.allSettled([shipped]);
      const waited = new AbortController();
      await Promise.race([reported, sleep(clock, goodbyeMs, waited.signal)]);
      waited.abort();
      folder.close();
    },
  };
}
