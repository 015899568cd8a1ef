import type { Clock } from '#core/ports/clock.ts';
import type { World } from './world.ts';

/** The store's own clock, by which leases end. Without a quorum it stands still: no lease ends that nobody can end. */
export class StoreClock implements Clock {
  readonly #world: World;
  #stoodMs = 0;
  #stands: { since: number; until: number } | null = null;
  #waiting: (() => void)[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  now(): number {
    return this.#world.utc;
  }

  boot(): number {
    const { time } = this.#world;
    return (this.#stands?.since ?? time) - this.#stoodMs;
  }

  after(ms: number, fn: () => void): () => void {
    const due = this.boot() + ms;
    let cancel = () => {};
    let open = true;
    const arm = () => {
      cancel = this.#world.after(due - this.boot(), () => {
        if (!open) return;
        if (this.#stands !== null) this.#waiting.push(arm);
        else if (this.boot() < due) arm();
        else fn();
      });
    };
    arm();
    return () => {
      open = false;
      cancel();
    };
  }

  stand(ms: number): void {
    const { time } = this.#world;
    const until = Math.max(this.#stands?.until ?? 0, time + ms);
    this.#stands = { since: this.#stands?.since ?? time, until };
    this.#world.after(ms, () => {
      const stands = this.#stands;
      if (stands === null || stands.until > this.#world.time) return;
      this.#stoodMs += this.#world.time - stands.since;
      this.#stands = null;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const arm of waiting) arm();
    });
  }
}
