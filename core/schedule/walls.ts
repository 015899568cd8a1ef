/**
 * A set of local times: seconds since 1970 as a wall clock shows them, before any zone. Local times before 1970 are
 * negative.
 */
export interface Walls {
  /** The first member in [from, before), or Infinity. */
  next(from: number, before: number): number;
  /** The last member in [from, to], or -Infinity. */
  prev(to: number, from: number): number;
  /** Whether a local time is left out by name, so that nothing may run at it, not even what a clock change moved. */
  leftOut(local: number): boolean;
  /** From this UTC second on the set repeats with the calendar's 400 years, or is empty. */
  readonly regularFrom: number;
}
