import { CYCLE, DAY } from './calendar.ts';

/** A stretch of UTC seconds [start, end) with one offset. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  /** Local minus UTC, in seconds. */
  readonly offset: number;
  /** Seconds of wall clock that a forward change under three hours left out just before `start`; else 0. */
  readonly gap: number;
  /** From here on the wall clock shows times for the first time; before it lies the second pass after clocks went
   * back by less than three hours. May lie beyond `end`. */
  readonly fresh: number;
}

/** Changes from here on are corrections of the calendar, not of summer time (DESIGN.md section 3). */
export const CORRECTION = 10_800;

// 189 days divide the 400-year cycle and are whole weeks, so a cell of a later cycle is an earlier one, moved.
const CELL = 189 * DAY;
const CELLS_PER_CYCLE = CYCLE / CELL;
// tzdata's explicit tables end in 2087 (Africa/Casablanca); from 2100 on only yearly rules are left, which repeat with
// the calendar. The first cell wholly behind that:
const FIRST_REGULAR = Math.ceil(Date.UTC(2100, 0) / 1000 / CELL);
/** UTC second from which on every zone repeats after 400 years. */
export const REGULAR = FIRST_REGULAR * CELL;
// No zone has two changes that undo each other within a week (checked over all of tzdata from 1970 on).
const PROBE = 7 * DAY;
const NONE: Segment = { start: 0, end: 0, offset: 0, gap: 0, fresh: 0 };

/**
 * A zone's wall clock, read from the runtime's own tzdata through Intl and kept in cells of 189 days as they are asked
 * for. One per zone and process, however many schedules use it.
 */
export class Zone {
  readonly name: string;
  readonly #format: Intl.DateTimeFormat;
  readonly #cells = new Map<number, readonly Segment[]>();
  #last: Segment = NONE;

  /** Throws a RangeError when the runtime knows no such zone. */
  constructor(name: string) {
    this.name = name;
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
  }

  /** The segment that the UTC second `at` lies in. */
  at(at: number): Segment {
    const last = this.#last;
    if (at >= last.start && at < last.end) return last;
    const index = Math.floor(at / CELL);
    const cycles = Math.max(0, Math.floor((index - FIRST_REGULAR) / CELLS_PER_CYCLE));
    const shift = cycles * CYCLE;
    for (const segment of this.#cell(index - cycles * CELLS_PER_CYCLE))
      if (at < segment.end + shift) {
        this.#last = shift === 0 ? segment : moved(segment, shift);
        return this.#last;
      }
    throw new Error(`no segment of ${this.name} at ${at}`);
  }

  /** Local minus UTC at a UTC second, in seconds, straight from Intl. */
  offset(at: number): number {
    // MM/DD/YYYY, hh:mm:ss with a year of four digits or more.
    const text = this.#format.format(at * 1000);
    const comma = text.indexOf(',');
    const part = (from: number, to: number) => Number(text.slice(from, to));
    const local = Date.UTC(
      part(6, comma),
      part(0, 2) - 1,
      part(3, 5),
      part(comma + 2, comma + 4),
      part(comma + 5, comma + 7),
      part(comma + 8, comma + 10),
    );
    return local / 1000 - at;
  }

  #cell(index: number): readonly Segment[] {
    const known = this.#cells.get(index);
    if (known) return known;
    const made = this.#build(index * CELL, (index + 1) * CELL);
    this.#cells.set(index, made);
    return made;
  }

  #build(start: number, end: number): readonly Segment[] {
    const segments: Segment[] = [];
    // Begins early: a change just before the cell may reach into it with its second pass.
    let at = start - CORRECTION;
    let offset = this.offset(at);
    let open = { start, offset, gap: 0, fresh: start };
    while (at < end - 1) {
      const probe = Math.min(at + PROBE, end - 1);
      if (this.offset(probe) === offset) {
        at = probe;
        continue;
      }
      const change = this.#change(at, probe, offset);
      const after = this.offset(change);
      const by = after - offset;
      if (change > start) segments.push({ ...open, end: change });
      open = {
        start: Math.max(change, start),
        offset: after,
        gap: change >= start && by > 0 && by < CORRECTION ? by : 0,
        fresh: by < 0 && -by < CORRECTION ? Math.max(change - by, start) : Math.max(change, start),
      };
      at = change;
      offset = after;
    }
    segments.push({ ...open, end });
    return segments;
  }

  /** The first second in (low, high] whose offset is no longer `offset`. */
  #change(low: number, high: number, offset: number): number {
    let same = low;
    let other = high;
    while (other - same > 1) {
      const middle = Math.floor((same + other) / 2);
      if (this.offset(middle) === offset) same = middle;
      else other = middle;
    }
    return other;
  }
}

function moved(segment: Segment, by: number): Segment {
  const { start, end, offset, gap, fresh } = segment;
  return { start: start + by, end: end + by, offset, gap, fresh: fresh + by };
}

const zones = new Map<string, Zone>();

/** The zone of that name, one and the same for all who ask; null when the runtime knows none. */
export function zoneNamed(name: string): Zone | null {
  // Intl takes any case; one entry for all of them keeps the map as small as tzdata.
  const key = name.toLowerCase();
  const known = zones.get(key);
  if (known) return known;
  try {
    const zone = new Zone(name);
    zones.set(key, zone);
    return zone;
  } catch (error) {
    // Intl says "no such zone" by RangeError; anything else is a fault.
    if (error instanceof RangeError) return null;
    throw error;
  }
}
