import { DAY } from './calendar.ts';
import type { Cron } from './cron.ts';
import { merged, type Span, spanAt } from './span.ts';
import type { Walls } from './walls.ts';

/** More expressions than bits in a word would not fit the mask below. Dates are not limited. */
export const MOST_EXPRESSIONS = 30;

/** What a job leaves out, by the wall clock: expressions, and stretches of local time. */
export class Exceptions {
  readonly spans: readonly Span[];
  readonly #crons: readonly Cron[];

  constructor(crons: readonly Cron[], spans: readonly Span[]) {
    this.#crons = crons;
    this.spans = merged(spans);
  }

  get regularFrom(): number {
    const ends = this.spans.flatMap((span) => [span.from, span.to]).filter(Number.isFinite);
    return Math.max(0, ...ends, ...this.#crons.map((cron) => cron.regularFrom));
  }

  /** Which expressions name this day, one bit each. */
  on(day: number): number {
    let mask = 0;
    for (let i = 0; i < this.#crons.length; i++) if (this.#crons[i]?.onDay(day)) mask |= 1 << i;
    return mask;
  }

  /**
   * Whether one of the expressions in `mask` names this second of the day: 0 no, 1 yes, 60 yes and with it the whole
   * minute around it, which spares a search 59 questions.
   */
  at(mask: number, second: number): 0 | 1 | 60 {
    let hit: 0 | 1 = 0;
    for (let i = 0; i < this.#crons.length; i++) {
      const cron = this.#crons[i];
      if (((mask >>> i) & 1) === 0 || !cron?.atTime(second)) continue;
      if (cron.wholeMinutes) return 60;
      hit = 1;
    }
    return hit;
  }

  has(local: number): boolean {
    if (spanAt(this.spans, local)) return true;
    const day = Math.floor(local / DAY);
    return this.at(this.on(day), Math.floor(local) - day * DAY) > 0;
  }
}

/** The local times of an expression without its exceptions. */
export class Sieve implements Walls {
  readonly regularFrom: number;
  readonly #cron: Cron;
  readonly #out: Exceptions;
  // Whether anything is left of a day on which these exceptions fall: the same for all such days. It is what makes a
  // search end that finds every day emptied.
  readonly #emptied = new Map<number, boolean>();

  constructor(cron: Cron, out: Exceptions) {
    this.#cron = cron;
    this.#out = out;
    this.regularFrom = Math.max(cron.regularFrom, out.regularFrom);
  }

  next(from: number, before: number): number {
    let at = from;
    while (at < before) {
      const found = this.#cron.next(at, before);
      if (found === Number.POSITIVE_INFINITY) return found;
      const span = spanAt(this.#out.spans, found);
      if (span) {
        at = span.to;
        continue;
      }
      const day = Math.floor(found / DAY);
      const mask = this.#out.on(day);
      if (mask === 0) return found;
      const second = found - day * DAY;
      if (this.#out.at(mask, second) === 0) return found;
      const later = this.#dayIsEmpty(mask) ? -1 : this.#nextInDay(mask, second);
      at = later < 0 ? (day + 1) * DAY : day * DAY + later;
    }
    return Number.POSITIVE_INFINITY;
  }

  prev(to: number, from: number): number {
    let at = to;
    while (at >= from) {
      const found = this.#cron.prev(at, from);
      if (found === Number.NEGATIVE_INFINITY) return found;
      const span = spanAt(this.#out.spans, found);
      if (span) {
        at = span.from - 1;
        continue;
      }
      const day = Math.floor(found / DAY);
      const mask = this.#out.on(day);
      if (mask === 0) return found;
      const second = found - day * DAY;
      if (this.#out.at(mask, second) === 0) return found;
      const earlier = this.#dayIsEmpty(mask) ? -1 : this.#prevInDay(mask, second);
      at = earlier < 0 ? day * DAY - 1 : day * DAY + earlier;
    }
    return Number.NEGATIVE_INFINITY;
  }

  leftOut(local: number): boolean {
    return this.#out.has(local);
  }

  #dayIsEmpty(mask: number): boolean {
    const known = this.#emptied.get(mask);
    if (known !== undefined) return known;
    const empty = this.#nextInDay(mask, 0) < 0;
    this.#emptied.set(mask, empty);
    return empty;
  }

  #nextInDay(mask: number, from: number): number {
    for (let at = this.#cron.nextInDay(from); at >= 0; ) {
      const out = this.#out.at(mask, at);
      if (out === 0) return at;
      at = this.#cron.nextInDay((Math.floor(at / out) + 1) * out);
    }
    return -1;
  }

  #prevInDay(mask: number, to: number): number {
    for (let at = this.#cron.prevInDay(to); at >= 0; ) {
      const out = this.#out.at(mask, at);
      if (out === 0) return at;
      const before = Math.floor(at / out) * out - 1;
      at = before < 0 ? -1 : this.#cron.prevInDay(before);
    }
    return -1;
  }
}
