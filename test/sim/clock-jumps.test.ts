import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rig } from './rig.ts';

describe('a clock that is set back between a claim and its start', () => {
  /** By how much later than its claim was answered. */
  for (const afterMs of [0, 1, 2, 3, 5, 8])
    it(`${afterMs} ms after a late claim: nothing is let go early by that clock`, async () => {
      const rig = new Rig();
      const host = rig.host();
      try {
        await rig.save();
        rig.agent(host);
        await rig.until(9);
        rig.weather.latencyMs = 600;
        const claimed = () => rig.told.some(({ type }) => type === 'run.claimed');
        while (!claimed()) await rig.world.advance(1);
        assert.ok(rig.world.time > 10_000, 'the claim was answered after its instant');
        await rig.world.advance(afterMs);
        host.step(-5_000);
        await rig.until(25);
        assert.deepEqual(rig.violations('P1', 'P4'), []);
        assert.equal(rig.starts(rig.run(10)), 1);
      } finally {
        await rig.end();
      }
    });
});

describe('a clock that jumps ahead between a claim and its start, and back', () => {
  for (const [beforeMs, forMs] of [
    [150, 100],
    [100, 107],
    [20, 500],
    [1, 2],
  ] as const)
    it(`${beforeMs} ms before the instant, for ${forMs} ms: what was claimed starts, or ends`, async () => {
      const rig = new Rig();
      const host = rig.host();
      try {
        await rig.save();
        rig.agent(host);
        await rig.until(10 - beforeMs / 1_000);
        // Further than its lease may be trusted.
        host.step(360_000);
        await rig.world.advance(forMs);
        host.step(-360_000);
        await rig.until(25);
        assert.notEqual(rig.state(rig.run(10)), null);
        assert.equal(rig.starts(rig.run(20)), 1, 'the next is not held up');
        assert.deepEqual(rig.violations('P1', 'P11'), []);
      } finally {
        await rig.end();
      }
    });
});
