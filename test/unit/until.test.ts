import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until, within } from '#test/until.ts';

const soon = { patienceMs: 50 };
const never = new Promise<never>(() => {});

describe('Waiting in a test', () => {
  it('gives what was seen when it was well', async () => {
    let looks = 0;
    assert.equal(
      await until(
        'three',
        () => ++looks,
        (seen) => seen === 3,
      ),
      3,
    );
    assert.equal(await until('something', async () => (++looks > 5 ? 'here' : '')), 'here');
    assert.equal(await within('one', Promise.resolve(1), () => null), 1);
  });

  it('says for what it was, and what was seen last, when it does not come', async () => {
    await assert.rejects(
      until(
        'the end',
        () => ({ state: 'running' }),
        ({ state }) => state === 'ended',
        soon,
      ),
      /^Error: waited 0\.05 s for the end; what was seen last: \{ state: 'running' \}$/,
    );
    await assert.rejects(
      until(
        'an answer',
        () => never,
        () => true,
        soon,
      ),
      /for an answer; .*: undefined$/,
    );
    await assert.rejects(
      within('news', never, () => ['old'], soon),
      /for news; .*: \[ 'old' \]$/,
    );
  });

  it('throws at once what a look throws', async () => {
    await assert.rejects(
      until('it', () => Promise.reject(new Error('gone'))),
      /^Error: gone$/,
    );
    await assert.rejects(
      within('it', Promise.reject(new Error('gone')), () => null),
      /^Error: gone$/,
    );
  });
});
