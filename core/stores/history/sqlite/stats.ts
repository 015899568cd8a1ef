import type { DatabaseSync } from 'node:sqlite';
import type { RunState } from '#core/model/run.ts';
import type { History, StatsBucket } from '#core/ports/history.ts';

/** About how many rows are read in one go: some ms, in which nothing else of this process moves. */
const sliceRows = 10_000;

type Columns = [due: number, state: RunState, count: number, duration: number | null, late: number | null];

interface Step {
  counts: Partial<Record<RunState, number>>;
  durations: number[];
  lates: number[];
}

/** Sums over time, read along run_stats alone; `turn` lets others have a turn between two slices. */
export async function readStats(
  db: DatabaseSync,
  { groups, from, to, stepMs }: Parameters<History['stats']>[0],
  turn: () => Promise<void>,
): Promise<StatsBucket[]> {
  const only = groups === undefined ? '' : `AND grp IN (${groups.map(() => '?').join(', ')})`;
  const bounds = `FROM run INDEXED BY run_stats WHERE due >= ? AND due < ? ${only}`;
  const given = groups ?? [];
  const rows = Number(db.prepare(`SELECT count(*) AS n ${bounds}`).get(from, to, ...given)?.n);
  const select = db.prepare(`SELECT due, state, count, duration, late ${bounds}`);
  select.setReturnArrays(true);

  const steps = Array.from(
    { length: Math.ceil((to - from) / stepMs) },
    (): Step => ({ counts: {}, durations: [], lates: [] }),
  );
  const sliceMs = Math.max(1, Math.ceil((to - from) / Math.ceil((rows + 1) / sliceRows)));
  for (let start = from; start < to; start += sliceMs) {
    const slice = select.all(start, Math.min(start + sliceMs, to), ...given) as unknown as Columns[];
    for (const [due, state, count, duration, late] of slice) {
      const step = steps[Math.floor((due - from) / stepMs)];
      if (step === undefined) continue;
      step.counts[state] = (step.counts[state] ?? 0) + count;
      if (duration !== null) step.durations.push(duration);
      if (late !== null) step.lates.push(late);
    }
    await turn();
  }
  return steps.map(({ counts, durations, lates }, at) => {
    const [durationP50, durationP99] = quantiles(durations);
    const [lateP50, lateP99] = quantiles(lates);
    return { at: from + at * stepMs, counts, durationP50, durationP99, lateP50, lateP99 };
  });
}

/** The values that half, and 99 of 100, do not exceed. */
function quantiles(values: number[]): [p50: number | null, p99: number | null] {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? null;
  return [at(0.5), at(0.99)];
}
