import { saveJob } from '#core/cluster/jobs.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { setDrain } from '#core/cluster/workers.ts';
import { jobId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Event } from '#core/ports/events.ts';
import { KvError } from '#core/ports/kv.ts';
import type { Connection } from '#core/stores/kv/embedded/embedded-kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { Chance } from './chance.ts';
import { check, type Violation } from './checker.ts';
import { Host, Life, type Stamp } from './host.ts';
import { type FaultKind, type Planned, type Scenario, scenarioOf } from './scenario.ts';
import { isStoreAway, type Mistakes, type SimAgent, startAgent } from './sim-agent.ts';
import { SimHistory } from './sim-history.ts';
import { calm, SimKv, type Weather } from './sim-kv.ts';
import { SimLog } from './sim-log.ts';
import { createUser } from './user.ts';
import { World } from './world.ts';

export interface SimOptions {
  seed: number;
  workers?: number;
  minutes?: number;
  mistakes?: Mistakes & { lastTerminalWins?: boolean };
  /** Called for each thing that happens, in order. */
  tell?: (line: string) => void;
}

export interface SimResult {
  seed: number;
  violations: Violation[];
  /** Of all that was committed and all that processes did: equal for equal seeds. */
  hash: string;
  starts: number;
  steps: number;
  crashes: number;
}

/** After the heal: above twice every timeout of the protocol but `away`, and two sweeps of the keeper. */
const quietMs = 150_000;

/** One seed, one history. */
export async function simulate(options: SimOptions): Promise<SimResult> {
  const chance = new Chance(options.seed);
  const scenario = scenarioOf(chance.fork(), {
    workers: options.workers ?? 1,
    minutes: options.minutes ?? 2,
  });
  const simulation = new Simulation(scenario, chance, options);
  const unhandled = (error: unknown) => simulation.fault('unhandled rejection', error);
  process.on('unhandledRejection', unhandled);
  try {
    return await simulation.run();
  } finally {
    process.off('unhandledRejection', unhandled);
  }
}

interface Machine {
  host: Host;
  agent: SimAgent | null;
  stopping: boolean;
  /** Up again then, by whatever took it down. */
  down: number;
}

class Simulation {
  readonly #world = new World();
  readonly #scenario: Scenario;
  readonly #chance: Chance;
  readonly #options: SimOptions;
  readonly #layout = layoutOf();
  readonly #history = new SimHistory();
  readonly #stamps: Stamp[] = [];
  readonly #log = new SimLog();
  readonly #machines: Machine[] = [];
  readonly #violations: Violation[] = [];
  readonly #weather: Weather;
  readonly #store: Connection;
  #crashes = 0;
  #over = false;

  constructor(scenario: Scenario, chance: Chance, options: SimOptions) {
    const world = this.#world;
    this.#scenario = scenario;
    this.#chance = chance;
    this.#options = options;
    this.#weather = { ...scenario.weather };
    this.#history.lastWins = options.mistakes?.lastTerminalWins ?? false;
    this.#store = memoryKv({
      clock: { now: () => world.utc, boot: () => world.time, after: (ms, fn) => world.after(ms, fn) },
    });
  }

  async run(): Promise<SimResult> {
    const { workers, jobs, faults, acts, healAt } = this.#scenario;
    const world = this.#world;
    this.#log.begin(this.#store, this.#layout.prefix, world);
    for (let i = 0; i < workers; i++)
      this.#machines.push({
        host: new Host(`w${i}`, world, this.#chance.fork()),
        agent: null,
        stopping: false,
        down: 0,
      });
    const user = this.#people();
    for (const job of jobs) await saveJob(user.store, job, { by: 'setup', condition: {}, cronExpr: null });
    for (const machine of this.#machines) this.#start(machine);
    for (const fault of faults) world.after(fault.at, () => this.#inject(fault));
    for (const { at, kind, ms } of acts)
      world.after(at, () => {
        this.#tell(`somebody: ${kind}`);
        this.#guard('api', user.slow.act(kind, ms));
      });
    await world.advance(healAt);
    this.#heal();
    await world.advance(20_000);
    this.#guard('api', user.quick.calm());
    const calmAt = world.time;
    await world.advance(quietMs);
    this.#over = true;
    for (const { host, agent, stopping } of this.#machines)
      if (agent === null || stopping)
        this.#violations.push({
          property: 'fault',
          at: world.time,
          what: `${host.id}: its stop never settled`,
        });
    for (const stamp of this.#stamps) this.#log.note(stamp);
    for (const record of this.#history.records.values()) this.#log.note(record);
    this.#violations.push(
      ...check({
        layout: this.#layout,
        log: this.#log,
        stamps: this.#stamps,
        history: this.#history,
        hosts: this.#machines.map(({ host }) => host),
        scenario: this.#scenario,
        calmAt,
        endAt: world.time,
      }),
    );
    for (const { agent } of this.#machines) agent?.life.kill();
    const hash = this.#log.end();
    await this.#store.close();
    const { seed } = this.#options;
    const base = { seed, violations: this.#violations, hash, crashes: this.#crashes };
    return { ...base, starts: this.#stamps.length, steps: world.steps };
  }

  #tell(line: string): void {
    this.#options.tell?.(`${(this.#world.time / 1_000).toFixed(3).padStart(9)}  ${line}`);
  }

  #guard(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => this.fault(what, error));
  }

  /** Something was thrown that nobody expects. */
  fault(what: string, error: unknown): void {
    if (this.#over) return;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#violations.push({ property: 'fault', at: this.#world.time, what: `${what}: ${text}` });
  }

  /** People, whose requests take their time; and one for the end whose requests don't. */
  #people() {
    const { world, host } = { world: this.#world, host: this.#machines[0]?.host };
    const api = new Life(new Host('api', world, this.#chance.fork()));
    const store = this.#store;
    // One machine: the API lives by the very clock of its agent. Several: by reference time.
    const now = () => (this.#scenario.workers === 1 && host !== undefined ? host.now() : world.utc);
    const weather = { ...calm, latencyMs: this.#chance.pick([5, 50, 150]) };
    const kv = new SimKv({
      life: api,
      store,
      connection: store.connect(),
      weather,
      chance: this.#chance.fork(),
    });
    const jobs = this.#scenario.jobs.map(({ group, name }) => jobId(group, name));
    const user = (through: typeof store | SimKv) =>
      createUser({ kv: through, layout: this.#layout, now }, jobs, this.#history, this.#chance.fork());
    return { slow: user(kv), quick: user(store), store: { kv: store, layout: this.#layout, now } };
  }

  #start(machine: Machine): void {
    const { host } = machine;
    this.#tell(`${host.id}: agent starts`);
    machine.agent = startAgent({
      host,
      store: this.#store,
      layout: this.#layout,
      weather: this.#weather,
      history: this.#history,
      stamps: this.#stamps,
      chance: this.#chance.fork(),
      mistakes: this.#options.mistakes ?? {},
      measured: this.#scenario.workers > 1,
      see: (event) => this.#see(host, event),
      crashed: (error) => {
        if (this.#over) return;
        if (isStoreAway(error)) {
          // A store that is away at the very start ends the agent; whoever supervises it starts it again.
          this.#crashes += 1;
          this.#tell(`${host.id}: agent crashed: ${String(error)}`);
          machine.agent?.life.kill();
          this.#restart(machine, 1_000);
        } else this.#guard(`${host.id}: agent`, Promise.reject(error));
      },
    });
  }

  #see(host: Host, event: Event): void {
    if (this.#options.tell !== undefined) this.#tell(`${host.id}: ${describe(event)}`);
    if (event.type !== 'agent.fault' || this.#over) return;
    const { error } = event;
    // A full disk is refused and told, as it must be.
    if (error instanceof Refusal && (error.code === 'disk_full' || error.code === 'spool_full')) return;
    this.#guard(`${host.id}: ${event.where}`, Promise.reject(error));
  }

  #restart(machine: Machine, afterMs: number): void {
    machine.agent = null;
    machine.stopping = false;
    machine.down = Math.max(machine.down, this.#world.time + afterMs);
    this.#world.after(afterMs, () => {
      if (machine.agent === null && this.#world.time >= machine.down) this.#start(machine);
    });
  }

  #inject({ kind, ms, host: at }: Planned<FaultKind>): void {
    const machine = this.#machines[at];
    if (machine === undefined) return;
    const { host, agent } = machine;
    const world = this.#world;
    this.#tell(`*** ${host.id}: ${kind} ${ms}`);
    const later = (fn: () => void) => world.after(ms, fn);
    switch (kind) {
      case 'kill':
        if (agent === null) return;
        agent.life.kill();
        this.#restart(machine, ms);
        return;
      case 'stop':
        if (agent === null || machine.stopping) return;
        machine.stopping = true;
        this.#guard(
          'stop',
          agent.stop().then(() => {
            if (machine.agent === agent) this.#restart(machine, ms);
          }),
        );
        return;
      case 'reboot':
        agent?.life.kill();
        host.reboot();
        if (agent !== null) this.#restart(machine, ms);
        return;
      case 'pause':
        agent?.life.pause();
        later(() => agent?.life.resume());
        return;
      case 'suspend':
        host.suspend(ms);
        return;
      case 'step':
        host.step(ms);
        return;
      case 'storeDown':
        this.#weather.down = true;
        later(() => {
          this.#weather.down = false;
        });
        return;
      case 'deaf': {
        const hear = agent?.connection.hold();
        later(() => hear?.());
        return;
      }
      case 'compact':
        this.#guard('compact', this.#compact());
        return;
      case 'diskFull':
        host.diskFull = true;
        later(() => {
          host.diskFull = false;
        });
        return;
      case 'historyDown':
        this.#history.down = true;
        later(() => {
          this.#history.down = false;
        });
        return;
      case 'drain': {
        const drain = (on: boolean) =>
          setDrain(this.#store, this.#layout, host.id, on ? { by: 'somebody', at: world.utc } : null).catch(
            (error) => {
              // Nobody to drain at the moment.
              if (!(error instanceof Refusal)) throw error;
            },
          );
        this.#guard('drain', drain(true));
        later(() => this.#guard('drain', this.#undrain(host.id)));
        return;
      }
    }
  }

  async #compact(): Promise<void> {
    const { revision } = await this.#store.range({ key: this.#layout.prefix });
    try {
      await this.#store.compact(revision);
    } catch (error) {
      // Nothing was written since the last time.
      if (!(error instanceof KvError) || error.code !== 'compacted') throw error;
    }
  }

  async #undrain(id: string): Promise<void> {
    await this.#store.txn({ compare: [], then: [{ type: 'delete', key: this.#layout.drain(id) }] });
  }

  #heal(): void {
    this.#tell('=== heal');
    Object.assign(this.#weather, calm);
    this.#history.down = false;
    for (const machine of this.#machines) {
      const { host, agent } = machine;
      host.diskFull = false;
      agent?.life.resume();
      this.#guard('undrain', this.#undrain(host.id));
    }
  }
}

function describe(event: Event): string {
  const { type, ...rest } = event;
  const shown = JSON.stringify(rest, (key, value: unknown) =>
    key === 'record' && value !== null && typeof value === 'object' && 'state' in value && 'reason' in value
      ? `${String(value.state)} ${String(value.reason)}`
      : value instanceof Error
        ? value.message
        : value,
  );
  return `${type} ${shown}`;
}
