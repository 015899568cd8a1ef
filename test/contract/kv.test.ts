import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import { Core, EmbeddedKv } from '#core/stores/kv/embedded/embedded-kv.ts';
import { KvState } from '#core/stores/kv/embedded/kv-state.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { kvSuite, type MadeKv, put } from './kv-suite.ts';
import { tempFolder } from './temp-folder.ts';

/** By a clock of its own, which no timer may be left on. */
function made(open: (clock: VirtualClock) => Kv, clean = () => {}): MadeKv {
  const clock = new VirtualClock();
  const time = { ttlMs: 10_000, boot: () => clock.boot(), pass: (ms: number) => clock.advance(ms) };
  return {
    kv: open(clock),
    time,
    clean() {
      clean();
      assert.equal(clock.pending, 0, 'a closed store has left a timer behind');
    },
  };
}

kvSuite('in memory', () => made((clock) => memoryKv({ clock })));
kvSuite('on SQLite', () => {
  const { file, clean } = tempFolder();
  return made((clock) => sqliteKv({ file, clock }), clean);
});

describe('Leases of an embedded store', () => {
  const held = async (kv: Kv) => (await kv.range(prefixRange('k/'))).count;
  it('end at their time, to the millisecond', async () => {
    const clock = new VirtualClock();
    const kv = memoryKv({ clock });
    for (const ms of [3_000, 1_000, 2_000])
      await kv.txn({ compare: [], then: [put(`k/${ms}`, 'v', await kv.grant(ms))] });
    const counts: number[] = [];
    for (const ms of [999, 1, 999, 1, 999, 1]) {
      await clock.advance(ms);
      counts.push(await held(kv));
    }
    assert.deepEqual(counts, [3, 2, 2, 1, 1, 0]);
    await kv.close();
  });
  it('are not moved by a step of the wall clock, and count a suspend', async () => {
    const clock = new VirtualClock();
    const kv = memoryKv({ clock });
    await kv.txn({ compare: [], then: [put('k/', 'v', await kv.grant(60_000))] });
    clock.step(3_600_000);
    await clock.advance(1_000);
    clock.step(-7_200_000);
    await clock.advance(1_000);
    assert.equal(await held(kv), 1);
    clock.suspend(60_000);
    await clock.advance(30_000);
    assert.equal(await held(kv), 0);
    await kv.close();
  });
});

describe('Connections to one embedded store', () => {
  it('share what is written, and are told of it each by itself', async () => {
    const clock = new VirtualClock();
    const store = memoryKv({ clock });
    const [one, two] = [store.connect(), store.connect()];
    const told: string[] = [];
    const stop = new AbortController();
    for (const [name, kv] of Object.entries({ one, two }))
      void kv.follow('k', stop.signal, ({ type, revision }) => told.push(`${name} ${type} ${revision}`));
    await clock.settle();
    const release = one.hold();
    await two.txn({ compare: [], then: [put('k')] });
    await clock.settle();
    assert.deepEqual(told, ['one list 1', 'two list 1', 'two changes 2']);
    release();
    await clock.settle();
    assert.deepEqual(told.slice(3), ['one changes 2']);
    await one.close();
    await store.close();
    await two.txn({ compare: [], then: [put('k')] });
    await clock.settle();
    assert.deepEqual(told.slice(4), ['two changes 3']);
    stop.abort();
    await two.close();
  });

  it('show another list to a follower that lags behind a compaction, and changes to one that does not', async () => {
    const clock = new VirtualClock();
    const kv = memoryKv({ clock });
    const told: string[] = [];
    const stop = new AbortController();
    const following = kv.follow('k', stop.signal, (event) => {
      const keys = event.type === 'list' ? event.entries.map(({ key }) => key) : event.changes.length;
      told.push(`${event.type} ${event.revision}: ${keys}`);
    });
    await clock.settle();
    for (const compactAt of ['3', '7']) {
      const release = kv.hold();
      for (let n = 0; n < 3; n++) await kv.txn({ compare: [], then: [put(`k/${compactAt}/${n}`)] });
      await kv.compact(compactAt);
      release();
      await clock.settle();
    }
    // Compacted at 3 it missed 2; at 7 it still lacks 5 and 6, so that a list comes again.
    assert.deepEqual(told, [
      'list 1: ',
      'list 4: k/3/0,k/3/1,k/3/2',
      'list 7: k/3/0,k/3/1,k/3/2,k/7/0,k/7/1,k/7/2',
    ]);
    const release = kv.hold();
    await kv.txn({ compare: [], then: [put('k/x')] });
    await kv.compact('8');
    release();
    await clock.settle();
    assert.deepEqual(told.slice(3), ['changes 8: 1'], 'what is left begins with what it lacks');
    stop.abort();
    await following;
    await kv.close();
  });

  it('keep as much past as they were told to, and the last revision in any case', async () => {
    const kv = memoryKv({ clock: new VirtualClock(), keepRevisions: 10 });
    for (let n = 0; n < 100; n++) await kv.txn({ compare: [], then: [put('k', String(n))] });
    const readable = async (revision: number) =>
      kv.range({ key: 'k' }, { revision: String(revision) }).then(
        () => true,
        () => false,
      );
    const revisions = await Promise.all(Array.from({ length: 101 }, (_, at) => readable(at + 1)));
    const count = revisions.filter(Boolean).length;
    assert.ok(count >= 5 && count <= 11, `${count} revisions can be read`);
    assert.equal(revisions.at(-1), true);
    await kv.close();
  });

  it('take back what a request wrote before it failed by a fault, and nothing else', async () => {
    const core = new Core({ state: new KvState(), clock: new VirtualClock() });
    const kv = new EmbeddedKv(core);
    await kv.txn({ compare: [], then: [put('a', 'before'), put('b')] });
    const faulty = core.submit((state) =>
      state.write(() => {
        state.put('a', 'half', null);
        state.delete({ key: 'b' });
        throw new Error('a fault');
      }),
    );
    await assert.rejects(faulty, /a fault/);
    const { entries, revision } = await kv.range({ key: 'a', end: 'z' });
    assert.deepEqual(
      [revision, ...entries.map(({ key, value }) => `${key}=${value}`)],
      ['2', 'a=before', 'b=v'],
    );
    assert.equal((await kv.txn({ compare: [], then: [put('c')] })).revision, '3');
    await kv.close();
  });
});
