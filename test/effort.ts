/** Whether this is a run at full length, as `.ci/run` makes it; otherwise somebody waits for it. */
export const isCi = process.env.CI === 'true';

/** How many cases, seeds or minutes a long test goes through: for people, or at full length. */
export function effort(forPeople: number, forCi: number): number {
  return isCi ? forCi : forPeople;
}
