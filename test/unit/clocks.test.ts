import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { sleep } from '#core/ports/clock.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

describe("The host's clock", () => {
  it('never goes back, and agrees with /proc/uptime to 20 ms', () => {
    const { boot } = systemClock();
    let last = 0;
    for (let read = 0; read < 2_000; read++) {
      const now = boot();
      assert.ok(now >= last);
      last = now;
    }
    const uptime = () => Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1_000;
    const before = uptime();
    const now = boot();
    const after = uptime();
    assert.ok(now >= before - 20 && now <= after + 20, `${before} <= ${now} <= ${after}`);
  });
  it('has from its first moment on seconds as long as those of the monotonic clock', async () => {
    const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;
    for (let made = 0; made < 20; made++) {
      const { boot } = systemClock();
      const [before, from, between] = [monotonicMs(), boot(), monotonicMs()];
      // Longer than /proc/uptime keeps one value: no part of its 10 ms may be made up for later.
      while (monotonicMs() < between + 25) boot();
      const [until, to, behind] = [monotonicMs(), boot(), monotonicMs()];
      assert.ok(to - from >= until - between - 0.001 && to - from <= behind - before + 0.001, `${to - from}`);
    }
  });
  it('fires never early, and not at all once cancelled', async () => {
    const cancelled = systemClock().after(0, () => assert.fail('cancelled'));
    cancelled();
    for (const ms of [0, 1, 7, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]) {
      const clock = systemClock();
      const start = process.hrtime.bigint();
      await sleep(clock, ms);
      assert.ok(Number(process.hrtime.bigint() - start) / 1e6 >= ms, `${ms} ms`);
    }
    cancelled();
  });
});

describe('A virtual clock', () => {
  it('runs what is due in order, and what that sets in motion before the next', async () => {
    const clock = new VirtualClock({ now: 1_000, boot: 0 });
    const seen: string[] = [];
    const note = (what: string) => seen.push(`${what} ${clock.boot()}`);
    clock.after(30, () => note('c'));
    clock.after(10, () => {
      note('a');
      void Promise.resolve().then(() => note('a, then'));
      setImmediate(() => note('a, a turn later'));
      clock.after(0, () => note('a, at once'));
    });
    clock.after(10, () => note('b'));
    clock.after(20, () => note('never'))();
    await clock.advance(29);
    assert.deepEqual(seen, ['a 10', 'a, then 10', 'a, a turn later 10', 'b 10', 'a, at once 10']);
    await clock.advance(1);
    assert.deepEqual([seen.at(-1), clock.pending, clock.now()], ['c 30', 0, 1_030]);
  });
  it('steps the wall clock alone, and suspends as a host does', async () => {
    const clock = new VirtualClock({ now: 0, boot: 0 });
    const fired: number[] = [];
    clock.after(10_000, () => fired.push(clock.boot()));
    clock.after(100_000, () => fired.push(clock.boot()));
    clock.step(-5_000);
    assert.deepEqual([clock.now(), clock.boot()], [-5_000, 0]);
    await clock.advance(5_000);
    clock.suspend(60_000);
    assert.deepEqual([clock.now(), clock.boot(), fired], [60_000, 65_000, []]);
    await clock.advance(5_000);
    assert.deepEqual(fired, [70_000], 'the first one slept to its end');
    await clock.advance(30_000);
    assert.deepEqual(fired, [70_000, 100_000], 'the second one saw boot time when its stretch was over');
  });
  it('goes on until a promise settles, and says when it never will', async () => {
    const clock = new VirtualClock();
    const start = clock.now();
    await clock.until(sleep(clock, 1_234));
    assert.equal(clock.now() - start, 1_234);
    await assert.rejects(clock.until(new Promise(() => {})), /still waits/);
    await assert.rejects(clock.until(Promise.reject(new Error('no'))), /no/);
  });
});

describe('Ids of the host', () => {
  it('fit keys, URLs and file names, and do not come twice', () => {
    const ids = systemIds();
    const made = new Set(Array.from({ length: 1_000 }, () => ids.id()));
    assert.equal(made.size, 1_000);
    for (const id of made) assert.match(id, /^[a-z0-9]{12,}$/);
    assert.match(ids.secret(), /^[A-Za-z0-9_-]{43}$/);
    for (let drawn = 0; drawn < 100; drawn++) {
      const chance = ids.chance();
      assert.ok(chance >= 0 && chance < 1);
    }
  });
});
