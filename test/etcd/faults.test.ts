import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Kv, KvError } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openKv } from '#core/stores/open.ts';
import { absent, put } from '#test/contract/kv-suite.ts';
import { effort } from '#test/effort.ts';
import { until, within } from '#test/until.ts';
import { clusterForFile, connect, describeEach, lineTo } from './servers.ts';
import { viewOf } from './view.ts';

const write = (kv: Kv, key: string, value = 'v') => kv.txn({ compare: [], then: [put(key, value)] });

/** As the batcher of cluster/ does it: again, as long as the outcome is not known or it surely was not done. */
async function persistently<T>(work: () => Promise<T>): Promise<{ answer: T; doubts: number }> {
  let doubts = 0;
  const { answer } = await until<{ answer?: T; error?: KvError }>(
    'a request to be taken',
    () =>
      work().then(
        (answer) => ({ answer }),
        (error) => {
          if (!(error instanceof KvError) || !['unknown', 'unavailable'].includes(error.code)) throw error;
          if (error.code === 'unknown') doubts++;
          return { error };
        },
      ),
    ({ error }) => error === undefined,
  );
  return { answer: answer as T, doubts };
}

await describeEach('Kv when things fail, on', async (programs) => {
  const three = await clusterForFile({ programs, members: 3 });
  const one = await clusterForFile({ programs });

  it('answers through the others when a member hangs: reads in time, writes as unknown once', async () => {
    const [paused, ...others] = three.members;
    assert.ok(paused);
    const kv = connect([paused, ...others].map(({ endpoint }) => endpoint).join(','), {}, () => 0);
    const direct = connect(others.map(({ endpoint }) => endpoint).join(','));
    await write(kv, 'hang/a');
    const lease = await kv.grant(60_000);
    const view = viewOf(kv, 'hang/');
    await view.until(() => view.lists() === 1);
    paused.pause();
    try {
      await assert.rejects(write(kv, 'hang/doubt'), (error) => {
        assert.ok(error instanceof KvError && error.code === 'unknown', String(error));
        // By the call's own deadline: its connection would be found dead seconds later, the server takes as long as it is paused.
        assert.ok(error.message.includes(`${paused.endpoint} does not answer in time`), error.message);
        return true;
      });
      // The one that hangs may have been the leader: until there is another nobody can do it.
      assert.equal((await persistently(() => kv.renew(lease))).answer, 60_000);
      await persistently(() => write(direct, 'hang/b'));
      await persistently(() => write(kv, 'hang/c'));
      // Its own connection to the hanging member was given up with the call.
      await view.until(() => view.keys.has('hang/b') && view.keys.has('hang/c'));
    } finally {
      paused.resume();
    }
    await view.stop();
    await Promise.all([kv.close(), direct.close()]);
  });

  it('is opened at once where one member hangs', async () => {
    const [paused] = three.members;
    paused?.pause();
    // As if it had all the time of the world: it is not the deadline that ends the waiting for whoever hangs.
    const clock = { ...systemClock(), now: () => Date.now() + 3_600_000 };
    try {
      const kv = await within(
        'the store to be opened',
        openKv(`etcd://${three.endpoints}`, clock, systemIds()),
        () => 'nothing',
      );
      await kv.close();
    } finally {
      paused?.resume();
    }
  });

  it('reads and renews in time from a list of members of which the first hangs', async () => {
    // Not the leader: this is no matter of how long the others take to agree on another.
    const leader = await three.leader();
    const others = three.members.filter((member) => member !== leader);
    const paused = others.shift() ?? assert.fail();
    others.push(leader);
    const kv = connect([paused, ...others].map(({ endpoint }) => endpoint).join(','), {}, () => 0);
    const lease = await kv.grant(60_000);
    paused.pause();
    try {
      const [{ entries }, left] = await Promise.all([kv.range({ key: 'none' }), kv.renew(lease)]);
      assert.deepEqual([entries, left], [[], 60_000]);
    } finally {
      paused.resume();
    }
    await kv.close();
  });

  it('loses and doubles nothing when the leader dies while writes are under way', async () => {
    const lines = await Promise.all(three.members.map(({ endpoint }) => lineTo(endpoint)));
    const [kv, direct] = [connect(lines.map(({ endpoint }) => endpoint).join(',')), connect(three.endpoints)];
    const view = viewOf(kv, 'lead/');
    await view.until(() => view.lists() === 1);
    const count = effort(600, 3_000);
    let done = 0;
    let refused = 0;
    /** Of which no answer comes through any more: sent after the lines let through requests alone. */
    const unheard: string[] = [];
    let death: Promise<void> | null = null;
    /** When something is done of which the answer is lost, wherever it was sent. */
    const die = async () => {
      const isDone = async (key: string) => (await direct.range({ key })).count > 0;
      await until(
        'a write without an answer',
        () => Promise.all(unheard.map(isDone)),
        (all) => all.includes(true),
      );
      const leader = await three.leader();
      await leader.kill();
      for (const line of lines) {
        line.cut();
        line.open();
      }
      await leader.start();
    };
    const lane = async (first: number) => {
      for (let n = first; n < count; n += 20) {
        const key = `lead/${n}`;
        const work = () => kv.txn({ compare: [absent(key)], then: [put(key)], else: [] });
        if (death !== null) unheard.push(key);
        const outcome = await persistently(work);
        // Refused only where an attempt of its own, whose answer was lost, had done it.
        assert.ok(outcome.answer.succeeded || outcome.doubts > 0, key);
        if (!outcome.answer.succeeded) refused++;
        if (++done === count / 3) {
          for (const line of lines) line.freeze('answers');
          death = die();
        }
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, first) => lane(first)));
    await death;
    await view.until(() => view.keys.size === count);
    assert.equal(view.changes(), count);
    assert.equal(view.lists(), 1);
    const { entries } = await kv.range({ key: 'lead/', end: 'lead0' });
    assert.equal(entries.length, count);
    assert.ok(entries.every(({ version }) => version === 1));
    assert.ok(refused > 0, 'what was done and not heard of was asked for again');
    await view.stop();
    await Promise.all([kv.close(), direct.close(), ...lines.map((line) => line.close())]);
  });

  it('says unavailable or unknown without a quorum, and follows on when it is back', async () => {
    const kv = connect(three.endpoints);
    await write(kv, 'quorum/a');
    const view = viewOf(kv, 'quorum/');
    await view.until(() => view.lists() === 1);
    const [kept, ...paused] = three.members;
    assert.ok(kept);
    for (const member of paused) member.pause();
    try {
      const alone = connect(kept.endpoint);
      const said = await Promise.all(
        Array.from({ length: 3 }, () => write(alone, 'quorum/b').then(String, (error) => error.code)),
      );
      assert.ok(
        said.every((code) => code === 'unknown' || code === 'unavailable'),
        said.join(),
      );
      await alone.close();
    } finally {
      for (const member of paused) member.resume();
    }
    await persistently(() => write(kv, 'quorum/c'));
    await view.until(() => view.keys.has('quorum/c'));
    assert.equal(view.lists(), 1);
    await view.stop();
    await kv.close();
  });

  it('misses nothing of watches that are cut after any number of bytes', async () => {
    // Beside each other: most of a round is what a client waits before it tries anew.
    const lanes = 6;
    const rounds = effort(18, 60);
    const lane = async (first: number) => {
      const [prefix, proxy] = [`cut${first}/`, await lineTo(one.endpoints)];
      const [kv, direct] = [connect(proxy.endpoint), connect(one.endpoints)];
      const view = viewOf(kv, prefix);
      await view.until(() => view.lists() === 1);
      let written = 0;
      const some = async (count: number) => {
        for (let n = 0; n < count; n++) await write(direct, `${prefix}${written++}`);
      };
      for (let round = first; round < rounds; round += lanes) {
        // The handshake, `created`, then events: wherever it may be cut, and sooner or later everywhere.
        proxy.cutAfter(40 + ((round * 37) % 700));
        const visited = proxy.visited();
        proxy.cut();
        await some(5);
        await visited;
        await some(15);
      }
      proxy.open();
      proxy.cut();
      // Who missed something is told of this all the same.
      await write(direct, `${prefix}last`);
      await view.until(() => view.keys.has(`${prefix}last`));
      assert.equal(view.keys.size, written + 1);
      assert.equal(view.changes(), written + 1);
      assert.equal(view.lists(), 1);
      await view.stop();
      await Promise.all([kv.close(), direct.close(), proxy.close()]);
    };
    await Promise.all(Array.from({ length: lanes }, (_, first) => lane(first)));
  });

  it('lists again when what it missed was compacted, and only then', async () => {
    const proxy = await lineTo(one.endpoints);
    const [kv, direct] = [connect(proxy.endpoint), connect(one.endpoints)];
    await write(direct, 'away/gone');
    const view = viewOf(kv, 'away/');
    await view.until(() => view.lists() === 1);
    proxy.block();
    await write(direct, 'away/a');
    proxy.open();
    await view.until(() => view.keys.has('away/a'));
    assert.equal(view.lists(), 1);
    proxy.block();
    await direct.txn({ compare: [], then: [{ type: 'delete', key: 'away/gone' }, put('away/b')] });
    await direct.compact((await write(direct, 'away/c')).revision);
    proxy.open();
    await view.until(() => view.lists() === 2);
    assert.deepEqual([...view.keys.keys()], ['away/a', 'away/b', 'away/c']);
    await write(direct, 'away/d');
    await view.until(() => view.keys.has('away/d'));
    await view.stop();
    await Promise.all([kv.close(), direct.close(), proxy.close()]);
  });

  it('finds a line that is dead without having been cut, and takes another', async () => {
    const proxy = await lineTo(one.endpoints);
    const [kv, direct] = [connect(`${proxy.endpoint},${one.endpoints}`, {}, () => 0), connect(one.endpoints)];
    const view = viewOf(kv, 'dead/');
    await view.until(() => view.lists() === 1);
    proxy.freeze();
    await write(direct, 'dead/a');
    // Nobody calls meanwhile: the connection's own pings find it.
    await view.until(() => view.keys.has('dead/a'));
    assert.equal(view.lists(), 1);
    await view.stop();
    await Promise.all([kv.close(), direct.close(), proxy.close()]);
  });

  it('pages what is too large for one answer, at one moment, and follows it in parts', async () => {
    const kv = connect(one.endpoints);
    const large = 'x'.repeat(1_000_000);
    const view = viewOf(kv, 'large/');
    await view.until(() => view.lists() === 1);
    for (let n = 0; n < 12; n++) await write(kv, `large/${n}`, `${n}${large}`);
    await kv.txn({ compare: [], then: Array.from({ length: 100 }, (_, n) => put(`large/s${n}`)) });
    const { entries, count, more } = await kv.range({ key: 'large/', end: 'large0' });
    assert.deepEqual([entries.length, count, more], [112, 112, false]);
    const again = viewOf(kv, 'large/');
    await Promise.all([again.until(() => again.lists() === 1), view.until(() => view.keys.size === 112)]);
    assert.deepEqual([...again.keys].sort(), [...view.keys].sort());
    await Promise.all([view.stop(), again.stop()]);
    await kv.close();
  });
});
