/** What came of a ring's tests. Suites and files are not counted, nor a test that failed only because of its subtests. */
export interface Tally {
  passed: number;
  failed: number;
  /** Names of tests that were skipped or are yet to do: promises that nobody held to. */
  skipped: string[];
}

/** How the reporter marks the line that ends its output; the rest is for people. */
export const tallyMark = '\u0001tally ';

export function emptyTally(): Tally {
  return { passed: 0, failed: 0, skipped: [] };
}

export function addTally(sum: Tally, more: Tally): Tally {
  return {
    passed: sum.passed + more.passed,
    failed: sum.failed + more.failed,
    skipped: [...sum.skipped, ...more.skipped],
  };
}
