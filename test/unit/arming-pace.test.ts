import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createArmingPace, startsAtOnce } from '#agent/arming-pace.ts';

describe('how many runs whose time has come are started at once', () => {
  for (const [perRunMs, most, why] of [
    [1, 100, 'no more than a request takes'],
    [4, 62, 'what is done in a quarter of a second'],
    [10, 25, 'fewer, the longer each takes'],
    [200, 8, 'never fewer than share a gate'],
  ] as const)
    it(`${perRunMs} ms each: ${most}, ${why}`, () => assert.equal(startsAtOnce(perRunMs), most));
});

describe('how long arming takes', () => {
  it('is what the last ones took, a single slow one among many counting little', () => {
    const pace = createArmingPace();
    for (let n = 0; n < 50; n += 1) pace.note(10, 100);
    assert.ok(Math.abs(pace.perRunMs() - 10) < 0.1);
    pace.note(1, 100);
    assert.ok(pace.perRunMs() < 12);
    pace.note(8, 800);
    assert.ok(pace.perRunMs() < 30);
    for (let n = 0; n < 50; n += 1) pace.note(10, 200);
    assert.ok(Math.abs(pace.perRunMs() - 20) < 0.1);
  });

  it('is never thought to be less than a small host takes, and nothing comes of none', () => {
    const pace = createArmingPace();
    pace.note(10, 0);
    pace.note(0, 1_000);
    assert.equal(pace.perRunMs(), 4);
  });
});
