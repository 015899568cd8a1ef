import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rig } from './rig.ts';

describe('a worker that comes up anew on another machine, and is stopped for long as it asks to be registered', () => {
  // Long before it goes on nobody stands in its way any more.
  for (let afterMs = 0; afterMs <= 1_200; afterMs += 100)
    it(`does not go by an answer of before, ${afterMs} ms after its start`, async () => {
      const rig = new Rig();
      try {
        rig.agent(rig.host('w0'));
        await rig.until(5);
        rig.agents[0]?.life.kill();
        rig.weather.latencyMs = 100;
        const { life, ready } = rig.agent(rig.host('w0'));
        await rig.until(5 + afterMs / 1_000);
        life.pause();
        await rig.until(30);
        life.resume();
        await rig.until(45);
        assert.deepEqual([rig.crashes, ready()], [[], true]);
      } finally {
        await rig.end();
      }
    });
});
