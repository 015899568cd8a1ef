import assert from 'node:assert/strict';
import { simulate } from './simulation.ts';

/** Runs seeds `from` to `from + seeds - 1` with so many workers; the first broken one fails, with the command that replays it. */
export async function sweep({
  workers,
  from = 1,
  seeds,
}: {
  workers: number;
  from?: number;
  seeds: number;
}): Promise<void> {
  const minutes = 1;
  let starts = 0;
  for (let seed = from; seed < from + seeds; seed += 1) {
    const result = await simulate({ seed, minutes, workers });
    starts += result.starts;
    const [first] = result.violations;
    const replay = `npm run sim -- --seed ${seed} --minutes ${minutes} --workers ${workers}`;
    assert.equal(first, undefined, `${first?.property}: ${first?.what}\n${replay}`);
  }
  assert.ok(starts > 30 * seeds, `only ${starts} starts: a simulation in which little happens proves little`);
}
