import * as v from 'valibot';
import type { JobStore } from '#core/cluster/job-record.ts';
import { saveJob } from '#core/cluster/jobs.ts';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { Job, type JobInput } from '#core/model/job.ts';
import type { RunState } from '#core/model/run.ts';
import type { Event } from '#core/ports/events.ts';
import type { Kv, Txn } from '#core/ports/kv.ts';
import type { Connection } from '#core/stores/kv/embedded/embedded-kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { Chance } from './chance.ts';
import { check, type Violation } from './checker.ts';
import { Host, type Stamp } from './host.ts';
import type { Machine } from './scenario.ts';
import { type Mistakes, type SimAgent, startAgent } from './sim-agent.ts';
import { SimHistory } from './sim-history.ts';
import { calm } from './sim-kv.ts';
import { SimLog } from './sim-log.ts';
import { epoch, World } from './world.ts';

/** A world that a test scripts by hand: what goes wrong goes wrong at a known millisecond. */
export class Rig {
  readonly world = new World();
  readonly layout = layoutOf();
  readonly history = new SimHistory();
  readonly stamps: Stamp[] = [];
  readonly log = new SimLog();
  readonly weather = { ...calm };
  readonly hosts: Host[] = [];
  readonly crashes: unknown[] = [];
  /** By all agents. */
  readonly told: Event[] = [];
  readonly store: Connection;
  readonly #chance = new Chance(1);
  readonly agents: SimAgent[] = [];

  constructor() {
    const { world } = this;
    this.store = memoryKv({
      clock: { now: () => world.utc, boot: () => world.time, after: (ms, fn) => world.after(ms, fn) },
    });
    this.log.begin(this.store, this.layout.prefix, world);
  }

  host(id = `w${this.hosts.length}`): Host {
    const host = new Host(id, this.world, this.#chance.fork());
    this.hosts.push(host);
    return host;
  }

  agent(host: Host, mistakes: Mistakes = {}, measured = false, more: Partial<Machine> = {}): SimAgent {
    const { store, layout, weather, history, stamps } = this;
    const machine = { labels: {}, capacity: 100, offsetMs: 0, ...more };
    const agent = startAgent({
      ...{ host, machine, store, layout, weather, history, stamps, mistakes, measured },
      chance: this.#chance.fork(),
      see: (event) => this.told.push(event),
      crashed: (error) => this.crashes.push(error),
    });
    this.agents.push(agent);
    return agent;
  }

  /** What people's requests go through, with a mistake in it where a test wants one. */
  api(tamper: (txn: Txn) => Txn = (txn) => txn): JobStore {
    const { store, world, layout } = this;
    // The store keeps its state in private fields, so it can be spoken for but not inherited from.
    const kv: Kv = new Proxy(store, {
      get(of, name) {
        if (name === 'txn') return (txn: Txn) => of.txn(tamper(txn));
        const member: unknown = Reflect.get(of, name, of);
        return typeof member === 'function' ? member.bind(of) : member;
      },
    });
    return { kv, layout, now: () => world.utc };
  }

  /** Saves `default/j`, every ten seconds unless said otherwise. */
  async save(input: Partial<JobInput> = {}, store = this.api()): Promise<Job> {
    const job = v.parse(Job, { name: 'j', schedule: '*/10 * * * * *', command: 'sim 100-100 0', ...input });
    await saveJob(store, job, { by: 'test', condition: {}, cronExpr: null });
    return job;
  }

  /** Lets the world go on until `seconds` after the beginning. */
  async until(seconds: number): Promise<void> {
    await this.world.advance(seconds * 1_000 - this.world.time);
  }

  instant(seconds: number): number {
    return epoch + seconds * 1_000;
  }

  /** The run of the instant that lies `seconds` after the beginning. */
  run(seconds: number, attempt = 1): string {
    const instant = new Date(this.instant(seconds)).toISOString().replace(/[-:]/g, '');
    return `default~j~${instant}~${attempt}`;
  }

  starts(run: string): number {
    return this.stamps.filter((stamp) => stamp.run === run).length;
  }

  state(run: string): RunState | null {
    return this.history.records.get(run)?.state ?? null;
  }

  /** What is broken of these promises so far. */
  violations(...properties: string[]): Violation[] {
    const { layout, log, stamps, history, hosts, world } = this;
    const scenario = {
      ...{ workers: [], jobs: [], weather: calm, faults: [], acts: [], healAt: 0 },
      ...{ apiOffsetMs: 0, historyMs: 25 },
    };
    const evidence = {
      ...{ layout, log, stamps, history, hosts, scenario, troubles: [], views: [] },
      ...{ calmAt: world.time, endAt: world.time },
    };
    return check(evidence).filter(({ property }) => properties.includes(property));
  }

  async end(): Promise<void> {
    for (const { life } of this.agents) life.kill();
    this.log.end();
    await this.store.close();
  }
}
