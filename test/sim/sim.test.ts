import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { effort } from '../effort.ts';
import { simulate } from './simulation.ts';

/**
 * What must hold in every simulated history. Of P2, P3, P4, P5 and P11 the simulation still finds breaches (worker-agent/README.md
 * names them): they are told here, and are not held yet.
 */
const held = ['P1', 'P6', 'P7', 'P8', 'P12', 'P13'];

describe('a simulated machine under faults', () => {
  it('has one history for one seed', async () => {
    const [first, second] = [
      await simulate({ seed: 7, minutes: 1 }),
      await simulate({ seed: 7, minutes: 1 }),
    ];
    assert.equal(first.hash, second.hash);
    assert.ok(first.starts > 0);
  });

  it(`starts nothing twice, keeps overlaps apart and kills what it should, over ${effort(30, 300)} seeds`, async (t) => {
    const others = new Map<string, Set<number>>();
    let starts = 0;
    for (let seed = 1; seed <= effort(30, 300); seed += 1) {
      const result = await simulate({ seed, minutes: 1 });
      starts += result.starts;
      for (const { property, what } of result.violations) {
        assert.ok(
          !held.includes(property),
          `${property}: ${what}\nnpm run sim -- --seed ${seed} --minutes 1`,
        );
        others.set(property, (others.get(property) ?? new Set()).add(seed));
      }
    }
    for (const [property, seeds] of others)
      t.diagnostic(`open: ${property} in ${seeds.size} seeds, such as --seed ${[...seeds][0]}`);
    assert.ok(starts > 1_000, `only ${starts} starts: a simulation in which little happens proves little`);
  });
});
