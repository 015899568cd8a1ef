import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Compare,
  type FollowEvent,
  type Kv,
  KvError,
  type Op,
  type OpResult,
  prefixRange,
  type Txn,
} from '#core/ports/kv.ts';
import { within } from '#test/until.ts';

export interface MadeKv {
  kv: Kv;
  time: KvTime;
  /** Called when the store is closed. */
  clean(): void | Promise<void>;
}

/** The time by which the store's leases end. */
export interface KvTime {
  boot(): number;
  /** Lets it pass, by hand or by waiting. */
  pass(ms: number): Promise<void>;
  /** A lease of this length is told from no lease at all, and somebody may wait for its end. */
  ttlMs: number;
}

export const put = (key: string, value = 'v', lease?: string): Op => ({
  type: 'put',
  key,
  value,
  ...(lease !== undefined && { lease }),
});
export const remove = (key: string, end?: string): Op => ({
  type: 'delete',
  key,
  ...(end !== undefined && { end }),
});
export const read = (key: string, end?: string): Op => ({
  type: 'range',
  key,
  ...(end !== undefined && { end }),
});
export const nest = (txn: Partial<Txn>): Op => ({ type: 'txn', txn: { compare: [], then: [], ...txn } });
export const absent = (key: string, end?: string): Compare => ({
  ...{ key, target: 'create', op: '=', revision: '0' },
  ...(end !== undefined && { end }),
});
const write = (kv: Kv, ...then: Op[]) => kv.txn({ compare: [], then });
const holds = async (kv: Kv, ...compare: Compare[]) => (await kv.txn({ compare, then: [] })).succeeded;
export const fails = (code: KvError['code']) => (error: unknown) =>
  error instanceof KvError && error.code === code;
const keysOf = async (kv: Kv, prefix: string) =>
  (await kv.range(prefixRange(prefix))).entries.map(({ key }) => key);

/** What a follower is told, as one line each. */
function watcher(kv: Kv, prefix: string) {
  const stop = new AbortController();
  const told: string[] = [];
  let look = () => {};
  const ended = kv.follow(prefix, stop.signal, (event: FollowEvent) => {
    if (event.type === 'list')
      told.push(
        `list ${event.revision}: ${event.entries.map(({ key, value }) => `${key}=${value}`).join(' ')}`,
      );
    else {
      const changes = event.changes.map((change) =>
        change.type === 'put' ? `${change.entry.key}=${change.entry.value}` : `-${change.key}`,
      );
      told.push(`${event.revision}: ${changes.join(' ')}`);
    }
    look();
  });
  return {
    told,
    /** Until so much was told. */
    until(lines: number): Promise<void> {
      const held = new Promise<void>((resolve) => {
        look = () => {
          if (told.length >= lines) resolve();
        };
        look();
      });
      return within(`${lines} lines of ${prefix}`, held, () => told);
    },
    async stop() {
      stop.abort();
      await ended;
    },
  };
}

/** What every Kv promises, which is what etcd does (3.4.23, 3.6.16, 3.7.3 measured; else etcd's source is named). */
export function kvSuite(name: string, make: () => MadeKv | Promise<MadeKv>): void {
  const promise = (what: string, test: (kv: Kv, time: KvTime) => Promise<void>) =>
    it(what, async () => {
      const { kv, time, clean } = await make();
      try {
        await test(kv, time);
      } finally {
        await kv.close();
        await clean();
      }
    });

  describe(`Kv ${name}: revisions`, () => {
    promise('starts at 1, and makes one of each request that writes', async (kv) => {
      assert.equal((await kv.range({ key: 'a' })).revision, '1');
      assert.equal((await write(kv, put('a'), put('b'))).revision, '2');
      assert.equal((await write(kv, put('a', 'w'))).revision, '3');
      const { entries } = await kv.range(prefixRange('a'));
      assert.deepEqual(
        entries.map((entry) => ({ ...entry })),
        [{ key: 'a', value: 'w', create: '2', mod: '3', version: 2, lease: null }],
      );
    });
    promise('makes none of a read, of a delete of nothing, or of a branch without a write', async (kv) => {
      await write(kv, put('a'));
      assert.equal((await write(kv, read('a'))).revision, '2');
      assert.equal((await write(kv, remove('none'))).revision, '2');
      assert.equal((await kv.txn({ compare: [absent('a')], then: [put('a')] })).revision, '2');
    });
    promise('begins anew with a key that is made anew', async (kv) => {
      await write(kv, put('a'));
      await write(kv, put('a'));
      await write(kv, remove('a'));
      await write(kv, put('a'));
      const [entry] = (await kv.range({ key: 'a' })).entries;
      assert.deepEqual([entry?.create, entry?.mod, entry?.version], ['5', '5', 1]);
    });
  });

  describe(`Kv ${name}: compares`, () => {
    promise('holds for each target, operator and side', async (kv) => {
      await write(kv, put('other'));
      await write(kv, put('k', 'm'));
      await write(kv, put('k', 'm'));
      // k: created at 3, mod 4, version 2, value m.
      const revision = (target: 'create' | 'mod', at: string) => ({ target, revision: at }) as const;
      const cases: [below: object, equal: object, above: object][] = [
        [revision('create', '2'), revision('create', '3'), revision('create', '10')],
        [revision('mod', '3'), revision('mod', '4'), revision('mod', '9223372036854775807')],
        [
          { target: 'version', version: 1 },
          { target: 'version', version: 2 },
          { target: 'version', version: 3 },
        ],
        [
          { target: 'value', value: 'a' },
          { target: 'value', value: 'm' },
          { target: 'value', value: 'ma' },
        ],
      ];
      for (const [below, equal, above] of cases) {
        const row = async (op: '=' | '!=' | '<' | '>') =>
          Promise.all([below, equal, above].map((than) => holds(kv, { key: 'k', op, ...than } as Compare)));
        assert.deepEqual(await row('='), [false, true, false], JSON.stringify(equal));
        assert.deepEqual(await row('!='), [true, false, true], JSON.stringify(equal));
        assert.deepEqual(await row('<'), [false, false, true], JSON.stringify(equal));
        assert.deepEqual(await row('>'), [true, false, false], JSON.stringify(equal));
      }
    });
    promise('takes a missing key for revision and version 0, and never finds a value in it', async (kv) => {
      for (const target of ['create', 'mod'] as const) {
        assert.equal(await holds(kv, { key: 'none', target, op: '=', revision: '0' }), true);
        assert.equal(await holds(kv, { key: 'none', target, op: '<', revision: '1' }), true);
        assert.equal(await holds(kv, { key: 'none', target, op: '>', revision: '0' }), false);
      }
      assert.equal(await holds(kv, { key: 'none', target: 'version', op: '=', version: 0 }), true);
      for (const op of ['=', '!=', '<', '>'] as const)
        for (const value of ['', 'x']) {
          assert.equal(await holds(kv, { key: 'none', target: 'value', op, value }), false);
          assert.equal(await holds(kv, { key: 'none/', end: 'none0', target: 'value', op, value }), false);
        }
    });
    promise('asks every key of a range; an empty one is one missing key', async (kv) => {
      const range = prefixRange('r/');
      assert.equal(await holds(kv, absent('r/', 'r0')), true);
      assert.equal(await holds(kv, { ...range, target: 'create', op: '>', revision: '0' }), false);
      await write(kv, put('r/1', 'same'));
      await write(kv, put('r/2', 'same'), put('s'));
      assert.equal(await holds(kv, absent('r/', 'r0')), false);
      assert.equal(await holds(kv, { ...range, target: 'create', op: '>', revision: '0' }), true);
      assert.equal(await holds(kv, { ...range, target: 'mod', op: '<', revision: '3' }), false, 'r/2 is not');
      assert.equal(await holds(kv, { ...range, target: 'mod', op: '<', revision: '4' }), true);
      assert.equal(await holds(kv, { ...range, target: 'value', op: '=', value: 'same' }), true);
      await write(kv, put('r/2', 'other'));
      assert.equal(await holds(kv, { ...range, target: 'value', op: '=', value: 'same' }), false);
    });
    promise('wants all of them, and takes the other branch where one fails', async (kv) => {
      await write(kv, put('a'));
      const answer = await kv.txn({
        compare: [absent('b'), absent('a')],
        then: [put('b')],
        else: [put('c'), read('c')],
      });
      assert.deepEqual([answer.succeeded, answer.results.length], [false, 2]);
      assert.deepEqual(await keysOf(kv, 'b'), []);
      assert.deepEqual(await keysOf(kv, 'c'), ['c']);
    });
    promise('sees, nested too, the state before the whole request', async (kv) => {
      const nested = (key: string) =>
        nest({ compare: [absent('n')], then: [put(key)], else: [put(`never/${key}`)] });
      const answer = await write(kv, put('n'), nested('x'), nest({ then: [nested('y')] }));
      assert.deepEqual(
        answer.results.map((result) => result.type === 'txn' && result.succeeded),
        [false, true, true],
      );
      assert.deepEqual(await keysOf(kv, 'never'), []);
      const again = await write(kv, remove('n'), nest({ compare: [absent('n')], then: [put('never')] }));
      assert.equal(
        again.results[1]?.type === 'txn' && again.results[1].succeeded,
        false,
        'the delete came later',
      );
    });
  });

  describe(`Kv ${name}: requests`, () => {
    promise('answers each of many reads in its place, nested or not', async (kv) => {
      await write(kv, put('a/1'), put('a/2'), put('b'));
      const answer = await write(
        kv,
        nest({ then: [read('a/', 'a0'), read('b')] }),
        read('c'),
        nest({ then: [] }),
        nest({ then: [read('b')] }),
      );
      const counts = (results: readonly OpResult[]): unknown[] =>
        results.map((result) =>
          result.type === 'range' ? result.count : result.type === 'txn' && counts(result.results),
        );
      assert.deepEqual([answer.succeeded, counts(answer.results)], [true, [[2, 1], 0, [], [1]]]);
    });
    promise('shows a range what was put and deleted before it, nested too', async (kv) => {
      await write(kv, put('a/1'), put('a/2'));
      const answer = await write(
        kv,
        read('a/', 'a0'),
        remove('a/1'),
        put('a/3'),
        read('a/', 'a0'),
        nest({ then: [put('a/4'), read('a/', 'a0')] }),
      );
      const seen = answer.results.flatMap((result) => (result.type === 'txn' ? result.results : [result]));
      assert.deepEqual(
        seen.flatMap((result) => (result.type === 'range' ? [result.entries.map(({ key }) => key)] : [])),
        [
          ['a/1', 'a/2'],
          ['a/2', 'a/3'],
          ['a/2', 'a/3', 'a/4'],
        ],
      );
      assert.deepEqual(answer.results[1], { type: 'delete', deleted: 1 });
      assert.equal(answer.results[3]?.type === 'range' && answer.results[3].entries[1]?.mod, answer.revision);
    });
    // etcd: server/etcdserver/api/v3rpc/key.go, checkIntervals.
    const twice: [what: string, then: Op[], allowed: boolean][] = [
      ['put twice', [put('k'), put('k')], false],
      ['put, and put nested', [put('k'), nest({ then: [put('k')] })], false],
      ['put in two nested ones', [nest({ then: [put('k')] }), nest({ then: [put('k')] })], false],
      ['put in a branch that is not taken', [put('k'), nest({ else: [put('k')] })], false],
      ['put in both branches of one', [nest({ then: [put('k')], else: [put('k')] })], true],
      ['deleted, then put', [remove('k'), put('k')], false],
      ['put, then deleted with a range', [put('k'), remove('j', 'l')], false],
      ['put, beside a deleted range that ends at it', [put('k'), remove('j', 'k')], true],
      ['deleted nested, then put', [nest({ then: [remove('k')] }), put('k')], false],
      ['deleted nested, then put nested', [nest({ then: [remove('k')] }), nest({ then: [put('k')] })], false],
      [
        'put nested, then deleted nested, which etcd overlooks',
        [nest({ then: [put('k')] }), nest({ then: [remove('k')] })],
        true,
      ],
      ['deleted twice', [remove('k'), remove('k')], true],
    ];
    promise('writes no key twice along one path, and nothing of a request that would', async (kv) => {
      await write(kv, put('k', 'before'));
      for (const [what, then, allowed] of twice) {
        const request = kv.txn({ compare: [], then: [put('z'), ...then] });
        if (allowed) await request;
        else await assert.rejects(request, fails('duplicate_key'), what);
        assert.deepEqual(await keysOf(kv, 'z'), allowed ? ['z'] : [], what);
        await write(kv, remove('z'));
        await write(kv, put('k', 'before'));
      }
      await assert.rejects(
        kv.txn({ compare: [], then: [], else: [put('k'), put('k')] }),
        fails('duplicate_key'),
      );
    });
    promise('leaves nothing of a key that one nested request puts and a later one deletes', async (kv) => {
      await write(kv, put('k', 'before'));
      const answer = await write(kv, nest({ then: [put('k')] }), nest({ then: [remove('k')] }));
      assert.equal(answer.revision, '3');
      assert.deepEqual(await keysOf(kv, 'k'), []);
      assert.equal((await kv.range({ key: 'k' }, { revision: '2' })).entries[0]?.value, 'before');
    });
    promise('takes 128 operations along a path, however many paths there are', async (kv) => {
      const puts = (count: number, prefix = 'k') =>
        Array.from({ length: count }, (_, at) => put(`${prefix}${at}`));
      const claim = (_: unknown, at: number) =>
        nest({ compare: [1, 2, 3, 4].map((part) => absent(`c${at}/${part}`)), then: puts(2, `c${at}/`) });
      await write(kv, ...puts(128));
      await assert.rejects(write(kv, ...puts(129)), fails('too_large'));
      await assert.rejects(kv.txn({ compare: [], then: [], else: puts(129) }), fails('too_large'));
      const claims = await kv.txn({
        compare: [absent('me'), absent('d')],
        then: Array.from({ length: 124 }, claim),
      });
      assert.equal(claims.results.length, 124);
      await assert.rejects(write(kv, ...Array.from({ length: 125 }, claim)), fails('too_large'));
    });
    promise('takes a request of 1.5 MiB and no larger one', async (kv) => {
      await write(kv, put('big', 'x'.repeat(1.4 * 1024 * 1024)));
      await assert.rejects(write(kv, put('big', 'x'.repeat(1.5 * 1024 * 1024))), fails('too_large'));
      await assert.rejects(
        write(kv, put('big', '€'.repeat(0.6 * 1024 * 1024))),
        fails('too_large'),
        'bytes count',
      );
    });
    promise('gives text back as it came', async (kv) => {
      const value = '{"a":"€ \u{1F600} \\u0000 \n"}';
      await write(kv, put('text', value), put('empty', ''));
      assert.deepEqual(
        (await kv.range({ key: 'a', end: 'z' })).entries.map((entry) => entry.value),
        ['', value],
      );
    });
    promise('takes what many send at once one after the other', async (kv) => {
      const claims = await Promise.all(
        Array.from({ length: 50 }, (_, at) =>
          kv.txn({ compare: [absent('one')], then: [put('one', String(at))] }),
        ),
      );
      // Which one is not said: what is under way at once may arrive in any order.
      assert.equal(claims.filter(({ succeeded }) => succeeded).length, 1);
      const writes = await Promise.all(Array.from({ length: 50 }, () => write(kv, put('count'))));
      assert.equal(new Set(writes.map(({ revision }) => revision)).size, 50);
      assert.equal((await kv.range({ key: 'count' })).entries[0]?.version, 50);
    });
    promise('refuses one of many without harm to the others', async (kv) => {
      const [good, bad, alsoGood] = await Promise.allSettled([
        write(kv, put('a')),
        write(kv, put('b'), put('c', 'v', '404')),
        write(kv, put('d')),
      ]);
      assert.deepEqual([good.status, bad.status, alsoGood.status], ['fulfilled', 'rejected', 'fulfilled']);
      const { entries } = await kv.range({ key: 'a', end: 'z' });
      assert.deepEqual(
        entries.map(({ key }) => key),
        ['a', 'd'],
      );
      assert.deepEqual(entries.map(({ mod }) => mod).sort(), ['2', '3']);
    });
    promise('refuses an empty key, and everything once it is closed', async (kv) => {
      await assert.rejects(write(kv, put('')), TypeError);
      await assert.rejects(kv.range({ key: '' }), TypeError);
      await kv.close();
      await assert.rejects(write(kv, put('a')), fails('unavailable'));
      await assert.rejects(kv.range({ key: 'a' }), fails('unavailable'));
      await kv.close();
    });
  });

  describe(`Kv ${name}: ranges`, () => {
    promise('pages, counts beyond the page, and leaves out what is not wanted', async (kv) => {
      const lease = await kv.grant(60_000);
      await write(kv, ...['p/1', 'p/2', 'p/3', 'q'].map((key) => put(key, 'v', lease)));
      const page = await kv.range(prefixRange('p/'), { limit: 2 });
      assert.deepEqual(
        [page.entries.map(({ key }) => key), page.more, page.count],
        [['p/1', 'p/2'], true, 3],
      );
      const all = await kv.range(prefixRange('p/'), { limit: 3 });
      assert.deepEqual([all.entries.length, all.more, all.count], [3, false, 3]);
      const counted = await kv.range(prefixRange('p/'), { countOnly: true });
      assert.deepEqual([counted.entries.length, counted.more, counted.count], [0, false, 3]);
      const keys = await kv.range(prefixRange('p/'), { keysOnly: true });
      const bare = { key: 'p/1', value: '', create: '2', mod: '2', version: 1, lease: null };
      assert.deepEqual({ ...keys.entries[0] }, bare);
      const nested = await write(kv, { type: 'range', key: 'p/1', keysOnly: true });
      assert.deepEqual(nested.results, [{ type: 'range', entries: [bare], count: 1, more: false }]);
      assert.equal((await kv.range({ key: 'q', end: 'p' })).count, 0, 'a range that ends before it begins');
      assert.equal((await kv.range({ key: 'p/1' })).count, 1);
    });
    promise('shows one moment on all pages, whatever is written between them', async (kv) => {
      await write(kv, ...['p/1', 'p/3', 'p/5', 'p/7'].map((key) => put(key, 'old')));
      const first = await kv.range(prefixRange('p/'), { limit: 2 });
      await write(kv, put('p/2', 'new'), put('p/6', 'new'), remove('p/5'), put('p/7', 'new'));
      await write(kv, remove('p/3'), put('p/5', 'again'));
      const options = { limit: 2, revision: first.revision };
      const rest = await kv.range({ key: 'p/3\0', end: 'p0' }, options);
      assert.deepEqual(
        [...first.entries, ...rest.entries].map(({ key, value, version }) => `${key}=${value} ${version}`),
        ['p/1=old 1', 'p/3=old 1', 'p/5=old 1', 'p/7=old 1'],
      );
      assert.deepEqual([rest.count, rest.more, rest.revision], [2, false, first.revision]);
      const whole = await kv.range(prefixRange('p/'), { ...options, limit: 3 });
      assert.deepEqual(
        [whole.entries.map(({ key }) => key), whole.count, whole.more],
        [['p/1', 'p/3', 'p/5'], 4, true],
      );
    });
    promise('reads at a revision until that is compacted, and not ahead of time', async (kv) => {
      for (const value of ['2', '3', '4']) await write(kv, put('a', value));
      const at = async (revision: string) => (await kv.range({ key: 'a' }, { revision })).entries[0]?.value;
      assert.deepEqual(
        [await at('1'), await at('2'), await at('3'), await at('4')],
        [undefined, '2', '3', '4'],
      );
      await kv.compact('3');
      assert.deepEqual([await at('3'), await at('4')], ['3', '4']);
      await assert.rejects(at('2'), fails('compacted'));
      await assert.rejects(kv.compact('3'), fails('compacted'));
      await assert.rejects(at('5'), RangeError);
      await assert.rejects(kv.compact('5'), RangeError);
      await kv.compact('4');
      assert.equal(await at('4'), '4');
    });
  });

  describe(`Kv ${name}: leases`, () => {
    promise('deletes the keys of one that ends, not before its time, as one revision', async (kv, time) => {
      const from = time.boot();
      const lease = await kv.grant(time.ttlMs);
      await write(kv, put('l/2', 'v', lease), put('l/1', 'v', lease), put('free'));
      const seen = watcher(kv, 'l/');
      await Promise.all([seen.until(2), time.pass(time.ttlMs)]);
      assert.ok(time.boot() - from >= time.ttlMs);
      assert.equal((await kv.range(prefixRange('l/'))).count, 0);
      assert.deepEqual(await keysOf(kv, 'free'), ['free']);
      assert.deepEqual(seen.told, ['list 2: l/1=v l/2=v', '3: -l/1 -l/2']);
      await seen.stop();
    });
    promise('goes on as long as it is renewed, and not after', async (kv, time) => {
      const lease = await kv.grant(time.ttlMs);
      await write(kv, put('kept', 'v', lease));
      const seen = watcher(kv, 'kept');
      await seen.until(1);
      // Longer in all than it lasts, and each time early enough for a machine that has much else to do.
      for (let round = 0; round < 4; round++) {
        await time.pass(0.3 * time.ttlMs);
        assert.equal(await kv.renew(lease), time.ttlMs);
      }
      assert.deepEqual(seen.told, ['list 2: kept=v']);
      await Promise.all([seen.until(2), time.pass(time.ttlMs)]);
      assert.deepEqual(await keysOf(kv, 'kept'), []);
      assert.equal(await kv.renew(lease), 0);
      assert.equal(await kv.renew('404'), 0);
      await seen.stop();
    });
    promise('ends each of many at its own time', async (kv, time) => {
      const seen = watcher(kv, 'k/');
      await seen.until(1);
      for (const times of [3, 1, 2])
        await write(kv, put(`k/${times}`, 'v', await kv.grant(times * time.ttlMs)));
      await Promise.all([seen.until(7), time.pass(3 * time.ttlMs)]);
      // The first may be gone before the last is put.
      const ends = seen.told.flatMap((line) => /: (-.*)/.exec(line)?.[1] ?? []);
      assert.deepEqual(ends, ['-k/1', '-k/2', '-k/3']);
      await seen.stop();
    });
    promise(
      'lets a key go that is put without it, and takes one over that is put with it',
      async (kv, time) => {
        const [short, long] = [await kv.grant(time.ttlMs), await kv.grant(60_000)];
        const names = ['detached', 'moved', 'deleted', 'ends'];
        await write(kv, ...names.map((name) => put(name, 'v', short)));
        await write(kv, put('detached'), put('moved', 'v', long), remove('deleted'));
        await write(kv, put('deleted'));
        const ends = watcher(kv, 'ends');
        await Promise.all([ends.until(2), time.pass(time.ttlMs)]);
        assert.equal((await kv.range({ key: 'd', end: 'n' })).count, 3);
        assert.deepEqual((await kv.range({ key: 'moved' })).entries[0]?.lease, long);
        await kv.revoke(long);
        assert.deepEqual(await keysOf(kv, 'moved'), []);
        assert.deepEqual(await keysOf(kv, 'de'), ['deleted', 'detached']);
        await ends.stop();
      },
    );
    promise('deletes its keys when it is revoked, and does not mind a second time', async (kv) => {
      const lease = await kv.grant(10_000);
      await write(kv, put('k', 'v', lease));
      await kv.revoke(lease);
      assert.deepEqual(await keysOf(kv, 'k'), []);
      assert.equal((await kv.range({ key: 'k' })).revision, '3');
      await kv.revoke(lease);
      await kv.revoke(await kv.grant(1_000));
      assert.equal((await kv.range({ key: 'k' })).revision, '3', 'a lease without keys makes no revision');
    });
    promise('is asked for on the path that is taken only, before anything is written', async (kv) => {
      await assert.rejects(write(kv, put('a'), put('k', 'v', '404')), fails('lease_not_found'));
      await assert.rejects(write(kv, nest({ then: [put('k', 'v', '404')] })), fails('lease_not_found'));
      assert.equal((await kv.range({ key: 'a', end: 'z' })).count, 0);
      await write(kv, put('a'), nest({ else: [put('k', 'v', '404')] }));
      assert.deepEqual(await keysOf(kv, 'a'), ['a']);
    });
    promise('never gives one id twice', async (kv, time) => {
      const ids: string[] = [];
      for (let round = 0; round < 10; round++) {
        const lease = await kv.grant(1_000);
        ids.push(lease);
        if (round % 2 === 0) await kv.revoke(lease);
      }
      await time.pass(1_000);
      ids.push(await kv.grant(1_000));
      assert.equal(new Set(ids).size, 11);
    });
  });

  describe(`Kv ${name}: followers`, () => {
    promise('are shown what is there, then every change in order, one event a revision', async (kv) => {
      await write(kv, put('f/1'), put('g'));
      const seen = watcher(kv, 'f/');
      await seen.until(1);
      await write(kv, put('f/3'), put('f/2'), put('g'));
      await write(kv, put('g'));
      await write(kv, remove('f/', 'f0'));
      await seen.until(3);
      await seen.stop();
      await write(kv, put('f/9'));
      const later = watcher(kv, 'f/');
      await later.until(1);
      await later.stop();
      assert.deepEqual(seen.told, ['list 2: f/1=v', '3: f/3=v f/2=v', '5: -f/1 -f/2 -f/3']);
    });
    promise('miss nothing and see nothing twice, whenever they come', async (kv) => {
      const seen: ReturnType<typeof watcher>[] = [];
      const writes: Promise<unknown>[] = [];
      for (let round = 0; round < 20; round++) {
        const one = watcher(kv, 'k');
        seen.push(one);
        writes.push(write(kv, put('k', String(round))));
        if (round % 3 === 0) await one.until(1);
      }
      await Promise.all(writes);
      for (const { told, until, stop } of seen) {
        await until(1);
        const from = Number(/^list (\d+)/.exec(told[0] ?? '')?.[1]);
        await until(22 - from);
        await stop();
        assert.deepEqual(
          told.slice(1).map((line) => Number.parseInt(line, 10)),
          Array.from({ length: 21 - from }, (_, at) => from + 1 + at),
        );
      }
    });
    promise('are never told inside a call, nor after stop', async (kv) => {
      const stop = new AbortController();
      let calls = 0;
      const first = Promise.withResolvers<void>();
      const following = kv.follow('k', stop.signal, () => {
        calls++;
        first.resolve();
        if (calls === 2) stop.abort();
      });
      assert.equal(calls, 0);
      await first.promise;
      await Promise.all([write(kv, put('k')), write(kv, put('k')), write(kv, put('k'))]);
      await following;
      const later = watcher(kv, 'k');
      await later.until(1);
      await write(kv, put('k'));
      await later.until(2);
      await later.stop();
      assert.equal(calls, 2);
      await kv.follow('k', AbortSignal.abort(), () => assert.fail('stopped before it began'));
    });
    promise('may write while they are told', async (kv) => {
      const stop = new AbortController();
      const seen: string[] = [];
      const writes: Promise<unknown>[] = [];
      const following = kv.follow('k', stop.signal, (event) => {
        if (event.type === 'changes') seen.push(event.revision);
        if (seen.length < 4) writes.push(write(kv, put('k')));
        else stop.abort();
      });
      await following;
      await Promise.all(writes);
      assert.deepEqual(seen, ['2', '3', '4', '5']);
    });
    promise('throw what their own `see` throws, and disturb no other', async (kv) => {
      const bad = kv.follow('k', new AbortController().signal, () => {
        throw new Error('cannot see');
      });
      const good = watcher(kv, 'k');
      await assert.rejects(bad, /cannot see/);
      await good.until(1);
      await write(kv, put('k'));
      await good.until(2);
      await good.stop();
      const writes: Promise<unknown>[] = [];
      const changed = kv.follow('k', new AbortController().signal, ({ type }) => {
        if (type === 'changes') throw new Error('cannot see a change');
        writes.push(write(kv, put('k')));
      });
      await assert.rejects(changed, /cannot see a change/);
      // Its answer may come later than the change itself.
      await Promise.all(writes);
    });
    promise('settle when the store is closed', async (kv) => {
      const seen = watcher(kv, 'k');
      await kv.close();
      await seen.stop();
    });
  });
}
