import assert from 'node:assert/strict';
import { it } from 'node:test';
import { referenceOf, referenceTime } from '#core/cluster/reference-time.ts';
import { epoch, World } from '../sim/world.ts';

/** A host whose wall clock is `offset` off and may be stepped, and a History that answers by the true time. */
function setUp(offset = 0, { there = 5, back = 5 } = {}) {
  const world = new World();
  const host = {
    offset,
    now: () => Math.floor(world.utc + host.offset),
    boot: () => world.time + 77_000,
    after: (ms: number, fn: () => void) => world.after(ms, fn),
  };
  const history = {
    there,
    back,
    away: false,
    asked: 0,
    async now() {
      history.asked += 1;
      await new Promise<void>((resolve) => world.after(history.there, resolve));
      if (history.away) throw new Error('away');
      const { utc } = world;
      await new Promise<void>((resolve) => world.after(history.back, resolve));
      return utc;
    },
  };
  const reference = referenceTime({ history, clock: host });
  const stop = new AbortController();
  return { world, host, history, reference, stop, running: reference.run(stop.signal) };
}

it('knows nothing until History has answered, then the offset, less half the way there and back', async () => {
  const { world, reference, stop, running } = setUp(1_234);
  assert.equal(reference.skewMs(), null);
  await world.advance(20);
  assert.equal(reference.skewMs(), 1_234);
  stop.abort();
  await running;
});

it('sees a step of the wall clock at once, and asks History for its word within a second', async () => {
  const { world, host, history, reference, stop, running } = setUp();
  await world.advance(3_500);
  assert.equal(reference.skewMs(), 0);
  host.offset = -360_000;
  assert.equal(reference.skewMs(), -360_000);
  const { asked } = history;
  await world.advance(1_000);
  assert.equal(history.asked, asked + 1);
  stop.abort();
  await running;
});

it('holds the last answer while History is away, through steps and back', async () => {
  const { world, host, history, reference, stop, running } = setUp(100);
  await world.advance(1_000);
  history.away = true;
  await world.advance(3_600_000);
  assert.equal(reference.skewMs(), 100);
  host.offset += 700;
  assert.equal(reference.skewMs(), 800);
  stop.abort();
  await running;
});

it('takes no more from a slow answer than that says', async () => {
  const { world, history, reference, stop, running } = setUp(100);
  await world.advance(1_000);
  // All of the time on the way back: half of it would be 2 s wrong.
  Object.assign(history, { there: 0, back: 4_000 });
  await world.advance(30_000);
  assert.equal(reference.skewMs(), 100);
  stop.abort();
  await running;
});

it('asks again where the first answer had to wait for a connection: half of that would be the better part of a second wrong', async () => {
  const { world, history, reference, stop, running } = setUp(100, { there: 1_200 });
  await world.advance(100);
  history.there = 5;
  await world.advance(1_110);
  assert.equal(reference.skewMs(), null, 'not by the slow one');
  await world.advance(20);
  assert.equal(reference.skewMs(), 100);
  assert.equal(history.asked, 2);
  stop.abort();
  await running;
});

it('goes by slow answers where there are no others', async () => {
  const { world, reference, stop, running } = setUp(700, { there: 400, back: 400 });
  await world.advance(5_000);
  assert.equal(reference.skewMs(), 700);
  stop.abort();
  await running;
});

it('stops though History never answers', async () => {
  const { history, stop, running } = setUp();
  Object.assign(history, { now: () => new Promise(() => {}) });
  stop.abort();
  await running;
});

it('is the host itself where History is a file of it', () => {
  const history = { now: async () => epoch };
  const clock = { now: () => 5, boot: () => 5, after: () => () => {} };
  assert.equal(referenceOf('sqlite:x', { history, clock }).skewMs(), 0);
  assert.equal(referenceOf('mongodb://h/d', { history, clock }).skewMs(), null);
});
