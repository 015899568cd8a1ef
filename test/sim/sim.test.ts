import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { simulate } from './simulation.ts';

describe('a simulated fleet', () => {
  it('has one history for one seed', async () => {
    const [first, second] = [
      await simulate({ seed: 7, minutes: 1, workers: 3 }),
      await simulate({ seed: 7, minutes: 1, workers: 3 }),
    ];
    assert.equal(first.hash, second.hash);
    assert.ok(first.starts > 0);
  });
});
