import { saveJob } from '#core/cluster/jobs.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { payOwed } from '#core/cluster/settle.ts';
import { jobId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import type { Event } from '#core/ports/events.ts';
import type { Kv } from '#core/ports/kv.ts';
import type { Connection } from '#core/stores/kv/embedded/embedded-kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { Chance } from './chance.ts';
import { check, type Violation } from './checker.ts';
import { createFaults } from './faults.ts';
import { Fleet } from './fleet.ts';
import { Host, Life, type Stamp } from './host.ts';
import { type FaultKind, type Scenario, scenarioOf } from './scenario.ts';
import { isStoreAway, type Mistakes } from './sim-agent.ts';
import { SimHistory } from './sim-history.ts';
import { calm, SimKv, type Weather } from './sim-kv.ts';
import { SimLog } from './sim-log.ts';
import { StoreClock } from './store-clock.ts';
import { createUser } from './user.ts';
import { type View, viewOf } from './view.ts';
import { World } from './world.ts';

export interface SimOptions {
  seed: number;
  workers?: number;
  minutes?: number;
  /** Only these kinds of trouble, and a handful of jobs; left out: as the seed draws them. */
  kinds?: readonly FaultKind[];
  /** How long nothing happens before it is judged: above the timeouts of the protocol, or nothing may be said of what is left over. */
  quietMs?: number;
  /** Of the agents' requests, instead of what the seed draws. */
  latencyMs?: number | undefined;
  mistakes?: Mistakes;
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
const longQuietMs = 150_000;
/** So long after the last fault every worker sees what the store holds (P10). */
const viewMs = 10_000;

/** One seed, one history. */
export async function simulate(options: SimOptions): Promise<SimResult> {
  const chance = new Chance(options.seed);
  const scenario = scenarioOf(chance.fork(), {
    workers: options.workers ?? 1,
    minutes: options.minutes ?? 2,
    kinds: options.kinds,
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

class Simulation {
  readonly #world = new World();
  readonly #scenario: Scenario;
  readonly #chance: Chance;
  readonly #options: SimOptions;
  readonly #layout = layoutOf();
  readonly #history = new SimHistory();
  readonly #stamps: Stamp[] = [];
  readonly #log = new SimLog();
  readonly #violations: Violation[] = [];
  readonly #weather: Weather;
  readonly #apiWeather: Weather;
  readonly #storeClock = new StoreClock(this.#world);
  readonly #store: Connection;
  readonly #fleet: Fleet;
  #over = false;

  constructor(scenario: Scenario, chance: Chance, options: SimOptions) {
    const world = this.#world;
    this.#scenario = scenario;
    this.#chance = chance;
    this.#options = options;
    this.#weather = { ...scenario.weather };
    if (options.latencyMs !== undefined)
      Object.assign(this.#weather, { latencyMs: options.latencyMs, hearMs: 2 * options.latencyMs });
    this.#apiWeather = { ...calm, latencyMs: chance.pick([5, 50, 150]) };
    this.#history.takesMs = scenario.historyMs;
    this.#history.lastWins = options.mistakes?.lastTerminalWins ?? false;
    this.#store = memoryKv({ clock: this.#storeClock });
    this.#fleet = new Fleet({
      world,
      chance: chance.fork(),
      members: scenario.workers.map((machine, i) => ({
        host: new Host(`w${i}`, world, chance.fork(), machine.offsetMs),
        machine,
      })),
      shared: {
        store: this.#store,
        layout: this.#layout,
        weather: this.#weather,
        history: this.#history,
        stamps: this.#stamps,
        mistakes: options.mistakes ?? {},
        measured: scenario.workers.length > 1,
      },
      see: ({ host }, event) => this.#see(host, event),
      fault: (what, error) => this.fault(what, error),
    });
  }

  async run(): Promise<SimResult> {
    const { jobs, faults, acts, healAt } = this.#scenario;
    const world = this.#world;
    const fleet = this.#fleet;
    this.#log.begin(this.#store, this.#layout.prefix, world);
    const user = this.#people();
    for (const job of jobs) await saveJob(user.store, job, { by: 'setup', condition: {}, cronExpr: null });
    for (const member of fleet.members) fleet.start(member);
    const trouble = createFaults({
      ...{ world, fleet, store: this.#store, storeClock: this.#storeClock, layout: this.#layout },
      ...{ history: this.#history, weather: this.#weather, apiWeather: this.#apiWeather, healAt },
      guard: (what, work) => this.#guard(what, work),
    });
    for (const fault of faults)
      world.after(fault.at, () => {
        this.#tell(
          `*** w${fault.host}: ${fault.kind} ${fault.ms}${fault.kind === 'crash' ? ` at step ${fault.step}` : ''}`,
        );
        trouble.inject(fault);
      });
    for (const { at, kind, ms } of acts)
      world.after(at, () => {
        this.#tell(`somebody: ${kind}`);
        this.#guard('api', user.slow.act(kind, ms));
      });
    await world.advance(healAt);
    this.#tell('=== heal');
    trouble.heal();
    await world.advance(viewMs);
    const views = this.#views();
    await world.advance(20_000 - viewMs);
    this.#guard('api', user.quick.calm());
    const calmAt = world.time;
    await world.advance(this.#options.quietMs ?? longQuietMs);
    this.#over = true;
    for (const { host, agent, stopping } of fleet.members)
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
        hosts: fleet.members.map(({ host }) => host),
        scenario: this.#scenario,
        troubles: fleet.troubles,
        views: [...views, ...this.#views()],
        calmAt,
        endAt: world.time,
      }),
    );
    for (const { agent } of fleet.members) agent?.life.kill();
    const hash = this.#log.end();
    await this.#store.close();
    const { seed } = this.#options;
    const base = { seed, violations: this.#violations, hash, crashes: fleet.crashes };
    return { ...base, starts: this.#stamps.length, steps: world.steps };
  }

  /** What each agent that is at work believes the store to hold, beside what it holds. */
  #views(): View[] {
    const { time } = this.#world;
    return this.#fleet.members.flatMap(({ host, agent }) => {
      if (agent === null) return [];
      const settled = agent.ready() && !host.asleep && time - agent.since >= viewMs;
      return settled ? [viewOf(host.id, agent.mirror, this.#log, this.#layout, time)] : [];
    });
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
    const world = this.#world;
    const hosts = this.#fleet.members.map(({ host }) => host);
    const [only] = hosts;
    const api = new Life(new Host('api', world, this.#chance.fork()));
    const store = this.#store;
    // One machine: the API lives by the very clock of its agent. Several: by reference time.
    const { apiOffsetMs } = this.#scenario;
    const now = () => (hosts.length === 1 && only !== undefined ? only.now() : world.utc + apiOffsetMs);
    const kv = new SimKv({
      life: api,
      store,
      connection: store.connect(),
      weather: this.#apiWeather,
      chance: this.#chance.fork(),
      tamper: this.#options.mistakes?.apiTamper,
    });
    const jobs = this.#scenario.jobs.map(({ group, name }) => jobId(group, name));
    const ids = hosts.map(({ id }) => id);
    const user = (through: typeof store | SimKv) => {
      const chance = this.#chance.fork();
      return createUser(jobStore(through), jobs, ids, this.#history, chance);
    };
    const jobStore = (through: typeof store | SimKv) => ({
      ...{ kv: through, layout: this.#layout, now },
      owes: (runs: readonly Run[]) => this.#pay(through, runs),
    });
    return { slow: user(kv), quick: user(store), store: jobStore(store) };
  }

  /** As the API does: once, and else it is left to the keepers. */
  async #pay(kv: Kv, runs: readonly Run[]): Promise<void> {
    const history = this.#history;
    if (history.down) return;
    const saveRuns = async (records: readonly Run[]) => history.save(records);
    await payOwed({ kv, layout: this.#layout, history: { saveRuns } }, runs).catch((error: unknown) => {
      if (!isStoreAway(error)) throw error;
    });
  }

  #see(host: Host, event: Event): void {
    if (this.#options.tell !== undefined) this.#tell(`${host.id}: ${describe(event)}`);
    if (event.type !== 'agent.fault' || this.#over) return;
    const { error } = event;
    // A full disk is refused and told, as it must be.
    if (error instanceof Refusal && (error.code === 'disk_full' || error.code === 'spool_full')) return;
    this.fault(`${host.id}: ${event.where}`, error);
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
