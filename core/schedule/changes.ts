import type { Zone } from './zone.ts';

/** Clocks put forward (`by` > 0) or back at a UTC second. */
export interface ClockChange {
  readonly at: number;
  readonly by: number;
  /** What the clock would have shown, and what it shows instead: local seconds. */
  readonly from: number;
  readonly to: number;
}

/** The changes of a zone's clock in (from, to], UTC seconds, oldest first, at most `limit`. */
export function changesOf(zone: Zone, from: number, to: number, limit = 16): ClockChange[] {
  const changes: ClockChange[] = [];
  let segment = zone.at(from);
  while (segment.end <= to && changes.length < limit) {
    const next = zone.at(segment.end);
    const by = next.offset - segment.offset;
    if (by !== 0)
      changes.push({ at: next.start, by, from: next.start + segment.offset, to: next.start + next.offset });
    segment = next;
  }
  return changes;
}
