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
