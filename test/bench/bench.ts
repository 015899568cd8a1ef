/** One line of a bench's table. All are texts, with their units, as they shall stand in the README. */
export interface BenchRow {
  name: string;
  value: string;
  /** The same measured on something else in the same run: the bare loop, the other library, the promise. */
  yardstick?: string;
  ratio?: string;
}

export interface BenchTable {
  title: string;
  rows: BenchRow[];
}

/** What a file test/bench/NAME.ts exports to be a bench; files without it are helpers. */
export interface BenchModule {
  bench(): Promise<BenchTable>;
}

/** The value at `share` (0.5, 0.99, 1) of the sorted numbers: the nearest rank, never an interpolation that nothing measured. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new Error('percentile: expected at least one number');
  return value;
}
