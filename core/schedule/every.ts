import { DAY } from './calendar.ts';
import type { Exceptions } from './exceptions.ts';
import { spanAt } from './span.ts';
import { END, type Part } from './wall-clock.ts';
import type { Zone } from './zone.ts';

/** `@every`: the multiples of a number of seconds since 1970, whatever clocks do. */
export class Every implements Part {
  readonly seconds: number;
  readonly #zone: Zone;
  readonly #out: Exceptions | null;
  // Days that leave nothing, by their exceptions and by where the first multiple falls: bounds the search below.
  readonly #emptied = new Set<string>();

  constructor(seconds: number, zone: Zone, out: Exceptions | null) {
    this.seconds = seconds;
    this.#zone = zone;
    this.#out = out;
  }

  next(from: number): number {
    return this.#search(Math.max(0, from), 1);
  }

  prev(to: number): number {
    return this.#search(Math.min(END - 1, to), -1);
  }

  #search(from: number, way: 1 | -1): number {
    const none = way * Number.POSITIVE_INFINITY;
    let at = this.#multiple(from, way);
    while (at >= 0 && at < END) {
      if (this.#out === null) return at;
      const { offset, start, end } = this.#zone.at(at);
      const span = spanAt(this.#out.spans, at + offset);
      if (span) {
        if (!Number.isFinite(way > 0 ? span.to : span.from)) return none;
        // To the end of the span, but not beyond what this offset is good for.
        at = this.#multiple(
          way > 0 ? Math.min(span.to - offset, end) : Math.max(span.from - offset, start) - 1,
          way,
        );
        continue;
      }
      const midnight = Math.floor((at + offset) / DAY) * DAY - offset;
      const mask = this.#out.on(Math.floor((at + offset) / DAY));
      if (mask === 0) return at;
      const first = Math.max(midnight, start);
      const after = Math.min(midnight + DAY, end);
      // Only whole days with one offset are alike.
      const whole = after - first === DAY;
      const kind = whole ? `${mask} ${this.#multiple(midnight, 1) - midnight}` : '';
      const entered = way > 0 ? at - this.seconds < first : at + this.seconds >= after;
      if (!whole || !this.#emptied.has(kind)) {
        for (; at >= first && at < after; at += way * this.seconds) {
          if (spanAt(this.#out.spans, at + offset)) break;
          if (this.#out.at(mask, at - midnight) === 0) return at;
        }
        if (at >= first && at < after) continue;
        if (whole && entered) this.#emptied.add(kind);
      }
      at = this.#multiple(way > 0 ? after : first - 1, way);
    }
    return none;
  }

  #multiple(at: number, way: 1 | -1): number {
    return (way > 0 ? Math.ceil(at / this.seconds) : Math.floor(at / this.seconds)) * this.seconds;
  }
}

/** `@at`: one instant, given in UTC seconds with milliseconds as their fraction. */
export class At implements Part {
  readonly #at: number;

  constructor(at: number) {
    this.#at = at;
  }

  next(from: number): number {
    return from <= this.#at ? this.#at : Number.POSITIVE_INFINITY;
  }

  prev(to: number): number {
    return to >= this.#at ? this.#at : Number.NEGATIVE_INFINITY;
  }
}
