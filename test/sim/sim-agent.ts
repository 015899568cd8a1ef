import { createAgent } from '#agent/agent.ts';
import type { Mirror } from '#agent/mirror.ts';
import { batcher } from '#core/cluster/batch.ts';
import type { Layout } from '#core/cluster/keys.ts';
import { hostTime, referenceTime } from '#core/cluster/reference-time.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event } from '#core/ports/events.ts';
import { KvError } from '#core/ports/kv.ts';
import type { Connection } from '#core/stores/kv/embedded/embedded-kv.ts';
import type { Chance } from './chance.ts';
import { type Host, Life, type Stamp } from './host.ts';
import type { Machine } from './scenario.ts';
import type { SimHistory } from './sim-history.ts';
import { type Hears, SimKv, type Tamper, type Weather } from './sim-kv.ts';
import { simLedger } from './sim-ledger.ts';
import { type RunnerMistakes, simRunner } from './sim-runner.ts';

/** What a test takes out of the system to see that it is missed. */
export interface Mistakes extends RunnerMistakes {
  /** What becomes of an agent's requests on their way, and of people's. */
  tamper?: Tamper;
  apiTamper?: Tamper;
  /** What becomes of what an agent is told; null: it is not told. */
  hears?: Hears;
  givesUp?: boolean;
  /** Whatever waits goes with the next request, though two of it name one job. */
  careless?: boolean;
  blindToSleep?: boolean;
  lastTerminalWins?: boolean;
}

export interface SimAgentDeps {
  host: Host;
  machine: Machine;
  store: Connection;
  layout: Layout;
  weather: Weather;
  history: SimHistory;
  stamps: Stamp[];
  chance: Chance;
  mistakes: Mistakes;
  /** Measured against the true time, as History tells it; else its own is the reference. */
  measured: boolean;
  see(event: Event): void;
  /** It ended though nobody stopped it. */
  crashed(error: unknown): void;
}

export interface SimAgent {
  life: Life;
  /** Holds up what it is told, until the answer is called. */
  hold(): () => void;
  /** True ms of its start. */
  since: number;
  mirror: Mirror;
  /** Everything is adopted, and it decides. */
  ready(): boolean;
  /** Settles when it has stopped. */
  stop(): Promise<void>;
}

/** Starts the real agent on a simulated host. */
export function startAgent(deps: SimAgentDeps): SimAgent {
  const { host, machine, store, layout, weather, history, stamps, chance, mistakes } = deps;
  const life = new Life(host, mistakes.blindToSleep);
  const connection = store.connect();
  const events = eventBus();
  let ready = false;
  events.on((event) => {
    ready ||= event.type === 'agent.ready';
    if (!life.dead) deps.see(event);
  });
  const { tamper, givesUp, hears } = mistakes;
  const kv = new SimKv({
    ...{ life, store, connection, weather, tamper, givesUp, hears },
    chance: chance.fork(),
  });
  if (host.link !== 'whole') host.onMend(kv.hold());
  const ledger = simLedger(life, history);
  const agent = createAgent({
    settings: {
      id: host.id,
      host: host.id,
      addresses: [],
      labels: machine.labels,
      capacity: machine.capacity,
      version: '0',
      tzdata: machine.tzdata ?? '2026a',
      switchesUser: true,
    },
    kv,
    layout,
    clock: life.clock,
    reference: deps.measured
      ? referenceTime({ history: tellsTime(life, history), clock: life.clock })
      : hostTime,
    ids: chance.fork(),
    events,
    ledger,
    runner: simRunner(life, stamps, mistakes),
    ...(mistakes.careless ? { batcher: careless } : {}),
    memory: {
      async load() {
        await life.delay(1);
        return host.remembered;
      },
      async save(value) {
        life.step();
        await life.delay(chance.between(0, 3));
        if (host.diskFull) return false;
        host.remembered = value;
        life.step();
        return true;
      },
    },
    report() {},
  });
  const stop = new AbortController();
  const running = agent.run(stop.signal).catch((error: unknown) => {
    if (!life.dead) deps.crashed(error);
  });
  return {
    life,
    hold: () => kv.hold(),
    since: host.world.time,
    mirror: agent.mirror,
    ready: () => ready,
    async stop() {
      life.deliver(() => stop.abort());
      await running;
      life.kill();
    },
  };
}

/** History's clock is the true one; the way there takes a while. */
function tellsTime(life: Life, history: SimHistory): { now(): Promise<number> } {
  const { world, chance } = life.host;
  life.host.timeKnown = false;
  return {
    async now() {
      await life.delay(chance.between(0, 10));
      if (history.down) throw new Error('History is away');
      const { utc } = world;
      await life.delay(chance.between(0, 10));
      life.host.timeKnown = true;
      return utc;
    },
  };
}

/** A batcher that knows no two pieces as of one job. */
const careless: typeof batcher = (deps) => {
  const { submit, idle } = batcher(deps);
  let sent = 0;
  return { submit: (piece) => submit({ ...piece, job: `${piece.job}/${sent++}` }), idle };
};

export function isStoreAway(error: unknown): boolean {
  return error instanceof KvError && (error.code === 'unknown' || error.code === 'unavailable');
}
