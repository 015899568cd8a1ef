import type { Event } from '#core/ports/events.ts';
import type { Chance } from './chance.ts';
import type { Host } from './host.ts';
import type { Machine } from './scenario.ts';
import { isStoreAway, type SimAgent, type SimAgentDeps, startAgent } from './sim-agent.ts';
import type { World } from './world.ts';

/** One host with its agent, or between two of them. */
export interface Member {
  host: Host;
  machine: Machine;
  agent: SimAgent | null;
  /** It was asked to stop, and has not stopped yet. */
  stopping: boolean;
  /** Up again then, by whatever took it down. */
  down: number;
  /** Its lives that are to crash, the next first: at which of their steps. */
  crashes: { step: number; downMs: number }[];
  /** Since when it could not do its work, and has not been ready again; null: it can. */
  troubledSince: number | null;
}

/** From `from` to `to` this host (null: every one) could not be relied on. */
export interface Trouble {
  host: string | null;
  from: number;
  to: number;
}

type Shared = Omit<SimAgentDeps, 'host' | 'machine' | 'see' | 'crashed' | 'chance'>;

/** Starts agents, and starts them again whenever they end, as a supervisor does. */
export class Fleet {
  readonly members: Member[];
  readonly troubles: Trouble[] = [];
  /** Ends of agents that the store's absence at their start explains. */
  crashes = 0;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #shared: Shared;
  readonly #see: (member: Member, event: Event) => void;
  readonly #fault: (what: string, error: unknown) => void;

  constructor(options: {
    world: World;
    chance: Chance;
    members: { host: Host; machine: Machine }[];
    shared: Shared;
    see: (member: Member, event: Event) => void;
    fault: (what: string, error: unknown) => void;
  }) {
    this.#world = options.world;
    this.#chance = options.chance;
    this.#shared = options.shared;
    this.#see = options.see;
    this.#fault = options.fault;
    const idle = { agent: null, stopping: false, down: 0, troubledSince: 0 };
    this.members = options.members.map((one) => ({ ...one, ...idle, crashes: [] }));
  }

  start(member: Member): void {
    const { host, machine } = member;
    const agent = startAgent({
      ...this.#shared,
      host,
      machine,
      chance: this.#chance.fork(),
      see: (event) => {
        if (event.type === 'agent.ready') this.#wellAgain(member);
        this.#see(member, event);
      },
      crashed: (error) => {
        if (member.agent !== agent) return;
        if (!isStoreAway(error)) return this.#fault(`${host.id}: agent`, error);
        // A store that is away at the very start ends the agent; whoever supervises it starts it again.
        this.crashes += 1;
        agent.life.kill();
        this.#again(member, 1_000);
      },
    });
    member.agent = agent;
    this.#armCrash(member);
  }

  /** kill -9, and up again after `ms`. */
  kill(member: Member, ms: number): void {
    if (member.agent === null) return;
    member.agent.life.kill();
    this.#again(member, ms);
  }

  /** `replaced`: what comes up is another machine of that name. */
  reboot(member: Member, ms: number, replaced = false): void {
    const ran = member.agent !== null;
    member.agent?.life.kill();
    if (replaced) member.host.replace();
    else member.host.reboot();
    if (ran) this.#again(member, ms);
  }

  /** SIGTERM, and up again `ms` after it has stopped. */
  async stop(member: Member, ms: number): Promise<void> {
    const { agent } = member;
    if (agent === null || member.stopping) return;
    member.stopping = true;
    this.#troubled(member);
    await agent.stop();
    if (member.agent === agent) this.#again(member, ms);
  }

  /** kill -9 at the given steps of this life and of those after it. */
  crash(member: Member, crashes: Member['crashes']): void {
    member.crashes.push(...crashes);
    this.#armCrash(member);
  }

  /** What is told of this host from now on for `ms` is no reason to rely on it. */
  note(host: string | null, ms: number): void {
    this.troubles.push({ host, from: this.#world.time, to: this.#world.time + ms });
  }

  #armCrash(member: Member): void {
    const { agent } = member;
    const [crash] = member.crashes;
    if (agent === null || crash === undefined) return;
    agent.life.atStep(crash.step, () => {
      agent.life.kill();
      member.crashes.shift();
      if (member.agent === agent) this.#again(member, crash.downMs);
    });
  }

  #troubled(member: Member): void {
    member.troubledSince ??= this.#world.time;
  }

  #wellAgain(member: Member): void {
    const { host, troubledSince } = member;
    if (troubledSince !== null)
      this.troubles.push({ host: host.id, from: troubledSince, to: this.#world.time });
    member.troubledSince = null;
  }

  #again(member: Member, afterMs: number): void {
    this.#troubled(member);
    member.agent = null;
    member.stopping = false;
    member.down = Math.max(member.down, this.#world.time + afterMs);
    this.#world.after(member.down - this.#world.time, () => {
      if (member.agent === null && this.#world.time >= member.down) this.start(member);
    });
  }
}
