import type { Cron } from './cron.ts';
import { type Span, spanAt } from './span.ts';
import { END, type Part } from './wall-clock.ts';
import type { Zone } from './zone.ts';

export type Dst = 'vixie' | 'skip' | 'both';

/** One expression of a schedule, read. */
export type Source =
  | { readonly type: 'cron'; readonly cron: Cron }
  | { readonly type: 'every'; readonly seconds: number }
  | { readonly type: 'at'; readonly atMs: number };

/** What a schedule was made from, read. */
export interface Plan {
  readonly sources: readonly Source[];
  readonly zone: Zone;
  readonly dst: Dst;
  /** What it leaves out, as canonical text; startAt and endAt are not among it. */
  readonly except: readonly string[];
  readonly startAt: string | null;
  readonly endAt: string | null;
}

/**
 * A set of instants: UTC milliseconds from 1970 to the end of 9999. Made by parseSchedule, immutable, and without a
 * clock of its own. Two reasons for one instant are one instant.
 */
export class Schedule {
  readonly plan: Plan;
  readonly #parts: readonly Part[];
  readonly #only: Part | null;
  // Stretches of UTC seconds left out; those of the wall clock are in the parts.
  readonly #out: readonly Span[];

  constructor(plan: Plan, parts: readonly Part[], out: readonly Span[]) {
    this.plan = plan;
    this.#parts = parts;
    this.#out = out;
    this.#only = parts.length === 1 && out.length === 0 ? (parts[0] ?? null) : null;
  }

  /** Canonical text; several expressions are joined by ` | `. Equal texts of one zone and dst have equal instants. */
  get normal(): string {
    return this.plan.sources.map(textOf).join(' | ');
  }

  get timezone(): string {
    return this.plan.zone.name;
  }

  /** The first instant strictly after `afterMs`, or null when there is none. */
  next(afterMs: number): number | null {
    // The negation answers NaN with "none" instead of a search without an end.
    if (!(afterMs < END * 1000)) return null;
    const from = (Math.floor(afterMs) + 1) / 1000;
    const found = this.#only === null ? this.#first(from) : this.#only.next(from);
    return found < END ? Math.round(found * 1000) : null;
  }

  /** The last instant strictly before `beforeMs`, or null when there is none. */
  prev(beforeMs: number): number | null {
    if (!(beforeMs > 0)) return null;
    const to = (Math.ceil(Math.min(beforeMs, END * 1000)) - 1) / 1000;
    const found = this.#only === null ? this.#last(to) : this.#only.prev(to);
    return found >= 0 ? Math.round(found * 1000) : null;
  }

  /** Whether `ms` is an instant. */
  has(ms: number): boolean {
    return this.next(ms - 1) === ms;
  }

  /** The instants in (from, to], oldest first, at most `limit`. */
  *between(
    fromMs: number,
    toMs: number,
    limit = Number.POSITIVE_INFINITY,
  ): Generator<number, void, undefined> {
    let at = this.next(fromMs);
    for (let left = limit; left > 0 && at !== null && at <= toMs; left--) {
      yield at;
      at = this.next(at);
    }
  }

  /** How many instants lie in (from, to]; counts no further than `limit`. */
  count(fromMs: number, toMs: number, limit = Number.POSITIVE_INFINITY): number {
    let count = 0;
    for (let at = this.next(fromMs); count < limit && at !== null && at <= toMs; at = this.next(at)) count++;
    return count;
  }

  #first(from: number): number {
    let best = Number.POSITIVE_INFINITY;
    for (const part of this.#parts) {
      let found = part.next(from);
      for (let out = spanAt(this.#out, found); out !== undefined; out = spanAt(this.#out, found))
        found = part.next(out.to);
      if (found < best) best = found;
    }
    return best;
  }

  #last(to: number): number {
    let best = Number.NEGATIVE_INFINITY;
    for (const part of this.#parts) {
      let found = part.prev(to);
      for (let out = spanAt(this.#out, found); out !== undefined; out = spanAt(this.#out, found))
        // Half a millisecond: the end of a span is not in it, and instants are whole milliseconds.
        found = part.prev(out.from - 0.0005);
      if (found > best) best = found;
    }
    return best;
  }
}

/** The canonical text of one expression. */
export function textOf(source: Source): string {
  if (source.type === 'cron') return source.cron.text;
  if (source.type === 'at') return `@at ${new Date(source.atMs).toISOString()}`;
  return `@every ${everyText(source.seconds)}`;
}

function everyText(seconds: number): string {
  const [hours, minutes, rest] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${hours ? `${hours}h` : ''}${minutes ? `${minutes}m` : ''}${rest ? `${rest}s` : ''}`;
}
