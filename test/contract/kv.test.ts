import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Refusal } from '#core/model/refusal.ts';
import { type FollowEvent, type Kv, KvError, type Op, prefixRange } from '#core/ports/kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';

const put = (key: string, value = 'v'): Op => ({ type: 'put', key, value });
const absent = (key: string, end?: string) => ({
  key,
  ...(end === undefined ? {} : { end }),
  target: 'create' as const,
  op: '=' as const,
  revision: '0',
});

/** What every Kv promises; etcd's own measured behaviour (PROPERTIES). */
function kvSuite(name: string, make: (clock: VirtualClock) => { kv: Kv; clean(): void }): void {
  describe(`Kv: ${name}`, () => {
    const promise = (what: string, test: (kv: Kv, clock: VirtualClock) => Promise<void>) =>
      it(what, async () => {
        const clock = new VirtualClock();
        const { kv, clean } = make(clock);
        try {
          await test(kv, clock);
        } finally {
          await kv.close();
          clean();
        }
      });

    promise('counts revisions, versions and creations as etcd does', async (kv) => {
      const first = await kv.txn({ compare: [], then: [put('a'), put('b')] });
      assert.equal(first.revision, '2');
      await kv.txn({ compare: [], then: [put('a', 'w')] });
      const [a] = (await kv.range({ key: 'a' })).entries;
      assert.deepEqual(a && { ...a }, {
        key: 'a',
        value: 'w',
        create: '2',
        mod: '3',
        version: 2,
        lease: null,
      });
      const read = await kv.txn({ compare: [], then: [{ type: 'range', key: 'a' }] });
      assert.equal(read.revision, '3', 'a read makes no revision');
    });
    promise('finds a range empty exactly when it is', async (kv) => {
      const claim = () => kv.txn({ compare: [absent('r/', 'r0')], then: [put('r/1')] });
      assert.equal((await claim()).succeeded, true);
      assert.equal((await claim()).succeeded, false);
      await kv.txn({ compare: [], then: [{ type: 'delete', key: 'r/1' }] });
      assert.equal((await claim()).succeeded, true);
    });
    promise('never finds a value in a missing key', async (kv) => {
      for (const op of ['=', '!=', '<', '>'] as const)
        assert.equal(
          (await kv.txn({ compare: [{ key: 'none', target: 'value', op, value: '' }], then: [] })).succeeded,
          false,
        );
    });
    promise(
      'judges nested compares on the state before the whole request, and lets nested ranges see earlier puts',
      async (kv) => {
        const nested = (key: string): Op => ({
          type: 'txn',
          txn: { compare: [absent('n')], then: [put(key), { type: 'range', key: 'n' }], else: [] },
        });
        const answer = await kv.txn({ compare: [], then: [put('n'), nested('x'), nested('y')] });
        const [, x, y] = answer.results;
        assert.ok(x?.type === 'txn' && x.succeeded && y?.type === 'txn' && y.succeeded);
        const [, seen] = x.results;
        assert.equal(seen?.type === 'range' && seen.entries.length, 1);
      },
    );
    promise('puts no key twice in one request', async (kv) => {
      const twice: Op = { type: 'txn', txn: { compare: [], then: [put('k')] } };
      await assert.rejects(
        kv.txn({ compare: [], then: [put('k'), twice] }),
        (error) => error instanceof KvError && error.code === 'duplicate_key',
      );
      assert.equal((await kv.range({ key: 'k' })).count, 0);
    });
    promise('lets 100 claims of four compares and a few puts travel in one request', async (kv) => {
      const claims = Array.from(
        { length: 100 },
        (_, i): Op => ({
          type: 'txn',
          txn: {
            compare: [absent(`c${i}`), absent(`d${i}`), absent(`e${i}`)],
            then: [put(`c${i}`), put(`d${i}`)],
          },
        }),
      );
      assert.equal((await kv.txn({ compare: [], then: claims })).results.length, 100);
    });
    promise('deletes the keys of a lease that ends, and of none that is renewed', async (kv, clock) => {
      const [lost, kept] = [await clock.until(kv.grant(10_000)), await clock.until(kv.grant(10_000))];
      await clock.until(
        kv.txn({
          compare: [],
          then: [{ ...put('lost'), lease: lost } as Op, { ...put('kept'), lease: kept } as Op],
        }),
      );
      await clock.advance(6_000);
      assert.equal(await kv.renew(kept), 10_000);
      await clock.advance(6_000);
      assert.equal((await kv.range({ key: 'lost' })).count, 0);
      assert.equal((await kv.range({ key: 'kept' })).count, 1);
      assert.equal(await kv.renew(lost), 0);
      await assert.rejects(
        kv.txn({ compare: [], then: [{ ...put('late'), lease: lost } as Op] }),
        (error) => error instanceof KvError && error.code === 'lease_not_found',
      );
    });
    promise('shows a follower first what is there, then every change in order', async (kv, clock) => {
      await kv.txn({ compare: [], then: [put('f/1'), put('g')] });
      const stop = new AbortController();
      const seen: string[] = [];
      const tell = (event: FollowEvent) => {
        if (event.type === 'list') seen.push(`list ${event.entries.map(({ key }) => key)}`);
        else
          for (const change of event.changes)
            seen.push(change.type === 'put' ? `put ${change.entry.key}` : `delete ${change.key}`);
      };
      const following = kv.follow('f/', stop.signal, tell);
      await clock.settle();
      await kv.txn({ compare: [], then: [put('f/2'), put('g')] });
      await kv.txn({ compare: [], then: [{ type: 'delete', ...prefixRange('f/') }] });
      await clock.settle();
      stop.abort();
      await following;
      assert.deepEqual(seen, ['list f/1', 'put f/2', 'delete f/1', 'delete f/2']);
    });
    promise('reads as of an older revision until that is compacted', async (kv) => {
      await kv.txn({ compare: [], then: [put('a', '1')] });
      await kv.txn({ compare: [], then: [put('a', '2')] });
      assert.equal((await kv.range({ key: 'a' }, { revision: '2' })).entries[0]?.value, '1');
      await kv.compact('3');
      await assert.rejects(
        kv.range({ key: 'a' }, { revision: '2' }),
        (error) => error instanceof KvError && error.code === 'compacted',
      );
    });
    promise('pages a list', async (kv) => {
      await kv.txn({ compare: [], then: ['p/1', 'p/2', 'p/3'].map((key) => put(key)) });
      const page = await kv.range(prefixRange('p/'), { limit: 2 });
      assert.deepEqual(
        [page.entries.map(({ key }) => key), page.more, page.count],
        [['p/1', 'p/2'], true, 3],
      );
    });
  });
}

function inFolder(): { dir: string; file: string; clean(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-kv-'));
  return { dir, file: join(dir, 'kv.sqlite'), clean: () => rmSync(dir, { recursive: true }) };
}

kvSuite('memory', (clock) => ({ kv: memoryKv({ clock }), clean() {} }));
kvSuite('sqlite', (clock) => {
  const { file, clean } = inFolder();
  return { kv: sqliteKv({ file, clock }), clean };
});

describe('Kv on SQLite', () => {
  it('is there again with its revisions after it was closed, for its owner only', async () => {
    const { file, clean } = inFolder();
    const clock = new VirtualClock();
    const first = sqliteKv({ file, clock });
    await first.txn({ compare: [], then: [put('a'), put('b')] });
    await first.close();
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const second = sqliteKv({ file, clock });
    assert.deepEqual(
      (await second.range(prefixRange('a'))).entries.map(({ key, create }) => [key, create]),
      [['a', '2']],
    );
    assert.equal((await second.txn({ compare: [], then: [put('c')] })).revision, '3');
    await second.close();
    clean();
  });
  it('refuses a second opener by name', async () => {
    const { file, clean } = inFolder();
    const clock = new VirtualClock();
    const first = sqliteKv({ file, clock });
    assert.throws(
      () => sqliteKv({ file, clock }),
      (error) => error instanceof Refusal && error.code === 'store_in_use' && error.message.includes(file),
    );
    await first.close();
    clean();
  });
});
