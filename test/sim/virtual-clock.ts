import type { Clock } from '#core/ports/clock.ts';

interface Timer {
  /** By the monotonic clock, which `advance` alone moves. */
  due: number;
  armed: number;
  order: number;
  fn: () => void;
}

/** The longest stretch a real clock sleeps before it looks at boot time again (core/ports/system-clock.ts). */
const stretchMs = 30_000;

/**
 * Time that a test moves by hand. Nothing happens but in `advance` and `until`: there the timers that come due run
 * one by one in order (those of one instant in the order they were set), and after each one everything it set in
 * motion settles: promises, and work handed over by setImmediate, `turns` hand-overs deep.
 */
export class VirtualClock implements Clock {
  #mono = 0;
  #bootOffset: number;
  #wallOffset: number;
  #timers: Timer[] = [];
  #order = 0;
  #advancing = false;
  readonly #turns: number;

  /** `now`: UTC ms by the wall clock at the start; `boot`: ms since the host's boot at the start. */
  constructor({
    now = Date.UTC(2026, 10, 22, 16, 35),
    boot = 100_000,
    turns = 4,
  }: {
    now?: number;
    boot?: number;
    turns?: number;
  } = {}) {
    this.#wallOffset = now;
    this.#bootOffset = boot;
    this.#turns = turns;
  }

  now(): number {
    // Whole, as Date.now is, whatever fraction somebody slept.
    return Math.floor(this.#mono + this.#wallOffset);
  }

  boot(): number {
    return this.#mono + this.#bootOffset;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { due: this.#mono + Math.max(0, ms), armed: this.#mono, order: this.#order++, fn };
    this.#timers.splice(this.#place(timer), 0, timer);
    return () => {
      const at = this.#timers.indexOf(timer);
      if (at >= 0) this.#timers.splice(at, 1);
    };
  }

  /** How many timers wait: 0 after a test says that nothing was left behind. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Lets `ms` pass, and everything happen that falls into them. A timer's throw is thrown from here. */
  async advance(ms: number): Promise<void> {
    const target = this.#mono + ms;
    await this.#whileAdvancing(async () => {
      await this.settle();
      while (await this.#fireNext(target));
      this.#mono = target;
      await this.settle();
    });
  }

  /** Goes from timer to timer until `promise` settles; throws when `limitMs` pass first, or no timer is left. */
  async until<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    const start = this.#mono;
    let settled = false;
    const end = () => {
      settled = true;
    };
    promise.then(end, end);
    await this.#whileAdvancing(async () => {
      await this.settle();
      while (!settled) {
        if (!(await this.#fireNext(start + limitMs)))
          throw new Error(
            `after ${this.#mono - start} virtual ms the promise still waits, and no timer is due within ${limitMs} ms`,
          );
      }
    });
    return promise;
  }

  /** The wall clock jumps by `ms`, forwards or back; nothing else does. */
  step(ms: number): void {
    this.#wallOffset += ms;
  }

  /**
   * The host sleeps for `ms`: wall and boot time go on, the monotonic clock stands. As with a real clock, a timer
   * that came due meanwhile fires at the end of the stretch it was sleeping, up to 30 s after the wake-up.
   */
  suspend(ms: number): void {
    this.#wallOffset += ms;
    this.#bootOffset += ms;
    for (const timer of this.#timers) {
      const slept = this.#mono - timer.armed;
      const wake = timer.armed + Math.max(1, Math.ceil(slept / stretchMs)) * stretchMs;
      timer.due = Math.max(Math.min(timer.due, wake), timer.due - ms);
    }
    this.#timers.sort((a, b) => a.due - b.due || a.order - b.order);
  }

  /** Lets everything settle that needs no time to pass. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < this.#turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  async #fireNext(target: number): Promise<boolean> {
    const [next] = this.#timers;
    if (!next || next.due > target) return false;
    this.#timers.shift();
    this.#mono = next.due;
    next.fn();
    await this.settle();
    return true;
  }

  async #whileAdvancing(work: () => Promise<void>): Promise<void> {
    if (this.#advancing) throw new Error('time is being moved already: await one advance before the next');
    this.#advancing = true;
    try {
      await work();
    } finally {
      this.#advancing = false;
    }
  }

  /** Behind every timer of the same instant. */
  #place(timer: Timer): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#timers[middle]?.due ?? Infinity) <= timer.due) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
