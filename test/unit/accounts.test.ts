import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createAccounts } from '#agent/runner/accounts.ts';
import { Refusal } from '#core/model/refusal.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

describe("a host's accounts", () => {
  const path = process.env.PATH;
  let dir: string;
  const log = () =>
    readFileSync(join(dir, 'log'), 'utf8')
      .split('\n')
      .filter((line) => line !== '');

  /** A getent that says nothing about `mute`, and of whom it was asked. */
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'cronfleet-accounts-'));
    appendFileSync(join(dir, 'log'), '');
    const lines = [
      '#!/bin/sh',
      `echo "$3" >> ${dir}/log`,
      '[ "$3" != mute ] || exec tail -f /dev/null',
      '[ "$3" != breaks ] || exit 127',
      '[ "$3" != falls ] || kill -9 $$',
      '[ "$3" = ann ] || exit 2',
      'echo ann:x:7:8::/home/ann:/bin/ash',
    ];
    writeFileSync(join(dir, 'getent'), `${lines.join('\n')}\n`, { mode: 0o755 });
    process.env.PATH = `${dir}:${path}`;
  });
  after(() => {
    process.env.PATH = path;
    rmSync(dir, { recursive: true });
  });

  const silent = (error: unknown) =>
    error instanceof Refusal &&
    error.code === 'user_unknown' &&
    /did not answer within 5 s/.test(error.message);

  it('are asked for in vain for five seconds, no longer, and others meanwhile', async () => {
    const clock = new VirtualClock();
    const accounts = createAccounts(clock);
    const looked = accounts.lookUp('mute');
    const mute = assert.rejects(accounts.of('mute'), silent);
    assert.equal((await accounts.of('ann')).home, '/home/ann');
    await assert.rejects(accounts.of('bob'), /bob: is not known on this host/);
    await clock.advance(5_000);
    await Promise.all([looked, mute]);
    assert.equal(accounts.lookUp('mute'), null, 'whoever comes right after is told the same');
    await assert.rejects(accounts.of('mute'), silent);
  });

  it('can not be told where the name service falls over: refused, as any that is not known', async () => {
    const accounts = createAccounts(new VirtualClock());
    for (const user of ['breaks', 'falls'])
      await assert.rejects(
        accounts.of(user),
        (error) =>
          error instanceof Refusal && error.code === 'user_unknown' && /getent\) failed/.test(error.message),
      );
  });

  it('are remembered for half a minute, and the last answer serves while there is no newer one', async () => {
    const clock = new VirtualClock();
    const accounts = createAccounts(clock);
    const before = log().length;
    await Promise.all([accounts.lookUp('ann'), accounts.of('ann')]);
    await clock.advance(29_000);
    assert.equal(accounts.lookUp('ann'), null);
    await clock.advance(2_000);
    const again = accounts.lookUp('ann');
    assert.notEqual(again, null);
    assert.equal((await accounts.of('ann')).shell, '/bin/ash');
    await again;
    assert.equal(accounts.lookUp('ann'), null);
    assert.deepEqual(log().slice(before), ['ann', 'ann']);
  });
});
