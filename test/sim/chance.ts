import type { Ids } from '#core/ports/ids.ts';

/** Chance from a seed: the same seed, the same life. (mulberry32) */
export class Chance implements Ids {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  }

  chance(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  id(): string {
    let text = '';
    while (text.length < 14) text += Math.floor(this.chance() * 36).toString(36);
    return text;
  }

  secret(): string {
    return Array.from({ length: 4 }, () => this.id()).join('_');
  }

  /** Another sequence that follows from this one, so that one part's draws don't shift another's. */
  fork(): Chance {
    return new Chance(Math.floor(this.chance() * 4_294_967_296));
  }

  happens(probability: number): boolean {
    return this.chance() < probability;
  }

  /** A whole number in [from, to]. */
  between(from: number, to: number): number {
    return from + Math.floor(this.chance() * (to - from + 1));
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[Math.floor(this.chance() * from.length)] ?? from[0];
  }
}
