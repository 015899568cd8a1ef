import { CYCLE, DAY } from './calendar.ts';
import type { Walls } from './walls.ts';
import { REGULAR, type Zone } from './zone.ts';

/** Instants end with the year 9999: a run's id has four digits for the year. UTC seconds, exclusive. */
export const END = Date.UTC(10_000, 0) / 1000;
/** Offsets of two segments differ by 26 hours at most; two days are more than that. */
const REACH = 2 * DAY;

/** A part of a schedule. All times are UTC seconds. */
export interface Part {
  /** The first instant >= from, or Infinity. */
  next(from: number): number;
  /** The last instant <= to, or -Infinity. */
  prev(to: number): number;
}

/**
 * Local times as instants of a zone. `repeats`: times that come twice count twice; `moves`: times that a clock change
 * skips become one instant at the change. The three rules of DESIGN.md section 3 are three settings of the two.
 */
export class WallClock implements Part {
  readonly #walls: Walls;
  readonly #zone: Zone;
  readonly #repeats: boolean;
  readonly #moves: boolean;

  constructor(walls: Walls, zone: Zone, repeats: boolean, moves: boolean) {
    this.#walls = walls;
    this.#zone = zone;
    this.#repeats = repeats;
    this.#moves = moves;
  }

  next(from: number): number {
    let at = Math.max(0, Math.ceil(from));
    // One cycle past all that is irregular has shown every constellation of calendar and zone there is.
    const limit = Math.min(END, Math.max(at, REGULAR, this.#walls.regularFrom) + CYCLE + REACH);
    while (at < limit) {
      const segment = this.#zone.at(at);
      const { offset, end } = segment;
      if (this.#moves && segment.gap > 0 && at === segment.start) {
        const shown = at + offset;
        if (this.#walls.next(shown - segment.gap, shown) < shown && !this.#walls.leftOut(shown)) return at;
      }
      const first = this.#repeats || at >= segment.fresh ? at : segment.fresh;
      const found = this.#walls.next(first + offset, limit + REACH) - offset;
      if (found < end) return found < limit ? found : Number.POSITIVE_INFINITY;
      // Nothing local lies between first and found, so nothing can come before found less any difference of offsets;
      // but clocks that go back soon may show again what was before first.
      at = end > first + REACH ? Math.max(end, found - REACH) : end;
    }
    return Number.POSITIVE_INFINITY;
  }

  prev(to: number): number {
    let at = Math.min(END - 1, Math.floor(to));
    while (at >= 0) {
      const segment = this.#zone.at(at);
      const { offset, start } = segment;
      const first = this.#repeats ? start : Math.max(start, segment.fresh);
      const found = at < first ? Number.NEGATIVE_INFINITY : this.#walls.prev(at + offset, -REACH) - offset;
      if (found >= first) return found;
      if (this.#moves && segment.gap > 0) {
        const shown = start + offset;
        if (this.#walls.next(shown - segment.gap, shown) < shown && !this.#walls.leftOut(shown)) return start;
      }
      // Nothing local lies between found and the segment's last time, but for the second pass, which was not asked.
      at = at >= first && start < at - REACH ? Math.min(start - 1, found + REACH) : start - 1;
    }
    return Number.NEGATIVE_INFINITY;
  }
}
