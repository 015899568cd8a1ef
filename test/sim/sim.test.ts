import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { effort } from '../effort.ts';
import { simulate } from './simulation.ts';

describe('a simulated machine under faults', () => {
  it('has one history for one seed', async () => {
    const [first, second] = [
      await simulate({ seed: 7, minutes: 1 }),
      await simulate({ seed: 7, minutes: 1 }),
    ];
    assert.equal(first.hash, second.hash);
    assert.ok(first.starts > 0);
  });

  for (const { workers, minutes, seeds } of [
    { workers: 1, minutes: 1, seeds: effort(30, 1_000) },
    { workers: 3, minutes: 1, seeds: effort(5, 100) },
  ])
    it(`keeps every promise over ${seeds} seeds with ${workers} workers`, async () => {
      let starts = 0;
      for (let seed = 1; seed <= seeds; seed += 1) {
        const result = await simulate({ seed, minutes, workers });
        starts += result.starts;
        const [first] = result.violations;
        const replay = `npm run sim -- --seed ${seed} --minutes ${minutes} --workers ${workers}`;
        assert.equal(first, undefined, `${first?.property}: ${first?.what}\n${replay}`);
      }
      assert.ok(
        starts > 30 * seeds,
        `only ${starts} starts: a simulation in which little happens proves little`,
      );
    });
});
