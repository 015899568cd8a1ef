import type { Remembered } from '#agent/context.ts';
import type { Ending } from '#agent/runner/run-dir.ts';
import type { RunPlan } from '#agent/runner.ts';
import type { RunId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Chance } from './chance.ts';
import { epoch, type World } from './world.ts';

/** What a process did, by the true clock and by its host's: written by the processes, read by the checker only. */
export interface Stamp {
  run: RunId;
  host: string;
  plan: RunPlan;
  fence: string;
  /** True ms. */
  start: number;
  /** The host's wall clock when the gate was released. */
  goWall: number;
  /** Whether its agent had heard reference time by then: before it goes by its own, since a History that is away delays no run. */
  timeKnown: boolean;
  end: number | null;
  /** exit: by itself; signal: something we sent; power: the host went down. */
  endedBy: 'exit' | 'signal' | 'power' | null;
  code: number | null;
  /** Why a ladder went for it. */
  signalled: Ending | null;
}

/** A run's directory, which outlives agent and host. */
export interface RunFiles {
  plan: RunPlan;
  claimed: { fence: string; incarnation: string; claimedAt: number } | null;
  /** Who made `started` first: the wrapper (wall ms), or the agent, so that it never starts. */
  started: number | 'barred' | null;
  exit: { code: number; at: number } | null;
  /** Why a ladder went for it. */
  ending: Ending | null;
  /** Written at (true ms): what is new when the power goes may not have reached the disk. */
  madeAt: number;
}

/** A wrapper or a command, alive. */
export interface Process {
  run: RunId;
  state: 'blocked' | 'running';
  stamp: Stamp | null;
  /** Ends at once, as by KILL. */
  die(by: 'signal' | 'power'): void;
  /** TERM: a stubborn one goes on. */
  term(why: Ending): void;
  /** Called when it is gone. */
  gone: Set<() => void>;
}

interface Timer {
  due: number;
  armed: number;
  fn: () => void;
  cancel: () => void;
  /** Node timers of an agent look at boot time every 30 s; a process's own sleep does not. */
  looks: boolean;
}

const stretchMs = 30_000;
/** How long a file system keeps to itself what nobody asks it to write. */
export const unsyncedMs = 5_000;

/** One machine: its clocks, its processes, its disk. They outlive every agent. */
export class Host {
  readonly id: string;
  readonly world: World;
  readonly chance: Chance;
  readonly files = new Map<RunId, RunFiles>();
  readonly processes = new Map<RunId, Process>();
  /** The spool: records that History has not acknowledged, oldest first. */
  spool: Run[] = [];
  remembered: Remembered | null = null;
  diskFull = false;
  /** What arming a wrapper takes where the host has its hands full, one after the other, ms; null: it has not. */
  armMs: number | null = null;
  #armedUntil = 0;
  /** How long its name service takes for an answer, ms; null: it has it at hand. */
  lookUpMs: number | null = null;
  /** Until when (boot time) the agent's lease holds, as its last life has said; beyond, the warden ends what must not run without. */
  leaseDeadline = Number.POSITIVE_INFINITY;
  /** Its way to the store. cut: nothing passes; mute: requests arrive, and nothing comes back. */
  #link: 'whole' | 'cut' | 'mute' = 'whole';
  #onMend: (() => void)[] = [];
  /** Whether the store hears its lease renewals; its other requests are not concerned. */
  renews = true;
  /** Whether its agent has heard reference time in this life. */
  timeKnown = true;
  asleep = false;
  /** How long it was suspended in all, ms. */
  slept = 0;
  #wakesAt = 0;
  #wallOffset = 0;
  #bootOffset = 100_000;
  readonly #timers = new Set<Timer>();
  #onWake: (() => void)[] = [];

  constructor(id: string, world: World, chance: Chance, offsetMs = 0) {
    this.id = id;
    this.world = world;
    this.chance = chance;
    this.#wallOffset = offsetMs;
  }

  get link(): 'whole' | 'cut' | 'mute' {
    return this.#link;
  }

  cutOff(link: 'cut' | 'mute'): void {
    this.#link = link;
  }

  mend(): void {
    this.#link = 'whole';
    const waiting = this.#onMend;
    this.#onMend = [];
    for (const fn of waiting) fn();
  }

  onMend(fn: () => void): void {
    this.#onMend.push(fn);
  }

  now(): number {
    return Math.floor(epoch + this.world.time + this.#wallOffset);
  }

  boot(): number {
    return this.world.time + this.#bootOffset;
  }

  get wallOffset(): number {
    return this.#wallOffset;
  }

  step(ms: number): void {
    this.#wallOffset += ms;
  }

  /** By the monotonic clock, which stands still while the host is suspended. */
  after(ms: number, fn: () => void, looks = false): () => void {
    const { time } = this.world;
    const begins = this.asleep ? this.#wakesAt : time;
    const timer: Timer = { due: begins + ms, armed: begins, fn, cancel: () => {}, looks };
    this.#arm(timer);
    return () => {
      timer.cancel();
      this.#timers.delete(timer);
    };
  }

  #arm(timer: Timer): void {
    this.#timers.add(timer);
    timer.cancel = this.world.after(timer.due - this.world.time, () => {
      this.#timers.delete(timer);
      timer.fn();
    });
  }

  /** Everything here stands still for `ms`; wall and boot time go on. */
  suspend(ms: number): void {
    if (this.asleep) return;
    this.asleep = true;
    this.slept += ms;
    const { time } = this.world;
    this.#wakesAt = time + ms;
    for (const timer of [...this.#timers]) {
      timer.cancel();
      if (timer.looks) {
        const stretchEnd = timer.armed + (Math.floor((time - timer.armed) / stretchMs) + 1) * stretchMs;
        timer.due = Math.max(timer.due, time + ms + Math.min(timer.due, stretchEnd) - time);
      } else timer.due += ms;
      this.#arm(timer);
    }
    this.world.after(ms, () => {
      this.asleep = false;
      const waiting = this.#onWake;
      this.#onWake = [];
      for (const fn of waiting) fn();
    });
  }

  onWake(fn: () => void): void {
    this.#onWake.push(fn);
  }

  /** How long the wrapper takes that is armed next, ms. */
  armingTakes(): number {
    if (this.armMs === null) return this.chance.between(0, 8);
    const { time } = this.world;
    this.#armedUntil = Math.max(time, this.#armedUntil) + this.armMs;
    return this.#armedUntil - time;
  }

  /**
   * The power goes and comes back: no process survives, and every file does that was not written a moment ago; but what the spool has said
   * is kept.
   */
  reboot(): void {
    // It is of the boot before.
    if (this.remembered !== null) this.remembered = { ...this.remembered, incarnations: [] };
    for (const process of [...this.processes.values()]) process.die('power');
    for (const [run, { madeAt }] of this.files)
      if (this.world.time - madeAt < unsyncedMs && this.chance.happens(0.5)) this.files.delete(run);
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#bootOffset = 5_000 - this.world.time;
  }

  /** Another takes its place, of the same name and with an empty disk. */
  replace(): void {
    this.reboot();
    this.files.clear();
    this.spool = [];
    this.remembered = null;
    this.leaseDeadline = Number.POSITIVE_INFINITY;
  }
}

/** One agent process on a host, from its start to its end. What is meant for it is delivered here, or never. */
export class Life {
  readonly host: Host;
  dead = false;
  paused = false;
  #waiting: (() => void)[] = [];
  /** Steps until something happens to it. */
  #left = Infinity;
  #strike: () => void = () => {};
  readonly #onEnd: (() => void)[] = [];
  /** A mistake for a test: its clocks stand still while the host sleeps, as the monotonic one does. */
  readonly #blindToSleep: boolean;

  constructor(host: Host, blindToSleep = false) {
    this.host = host;
    this.#blindToSleep = blindToSleep;
  }

  #unseen(): number {
    return this.#blindToSleep ? this.host.slept : 0;
  }

  /** Calls `fn` as soon as this agent can take notice, in the order in which it came; never if it is dead by then. */
  deliver(fn: () => void): void {
    if (this.dead) return;
    if (this.paused || this.host.asleep || this.#waiting.length > 0) {
      if (this.host.asleep) this.host.onWake(() => this.#flush());
      this.#waiting.push(fn);
    } else fn();
  }

  #flush(): void {
    while (!this.dead && !this.paused && !this.host.asleep) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next();
    }
    // What it did put its host to sleep.
    if (!this.paused && this.host.asleep) this.host.onWake(() => this.#flush());
  }

  readonly clock: Clock = {
    now: () => this.host.now() - this.#unseen(),
    boot: () => this.host.boot() - this.#unseen(),
    after: (ms, fn) => {
      let open = true;
      const cancel = this.host.after(ms, () => this.deliver(() => open && fn()), true);
      return () => {
        open = false;
        cancel();
      };
    },
  };

  /** Resolves after `ms` by the host's own clock; never once dead. */
  async delay(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      if (!this.dead) this.host.after(ms, () => this.deliver(resolve));
    });
  }

  /** SIGSTOP; the world goes on. */
  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.host.asleep) this.host.onWake(() => this.#flush());
    else this.#flush();
  }

  /** Whatever this agent does to the outside, or hears of it, begins with a step. */
  step(): void {
    if (this.dead) return;
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#left = Infinity;
    this.#strike();
  }

  /** Has `strike` called within its `steps`th step from now, whatever it is doing then. */
  atStep(steps: number, strike: () => void): void {
    this.#left = steps;
    this.#strike = strike;
  }

  onEnd(fn: () => void): void {
    this.#onEnd.push(fn);
  }

  /** kill -9: at once, at whatever it was awaiting. */
  kill(): void {
    if (this.dead) return;
    this.dead = true;
    this.#waiting = [];
    for (const fn of this.#onEnd) fn();
  }
}
