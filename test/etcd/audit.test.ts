import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock } from '#core/ports/clock.ts';
import type { Entry, FollowEvent } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { Audit } from '#core/stores/kv/etcd/audit.ts';
import { follow } from '#core/stores/kv/etcd/follow.ts';
import { put } from '#test/contract/kv-suite.ts';
import { within } from '#test/until.ts';
import { clusterForFile, connect, etcds } from './servers.ts';

const entry = (key: string, mod: string, version = 1): Entry => ({
  key,
  value: '',
  create: mod,
  mod,
  version,
  lease: null,
});
const list = (revision: string, ...keys: string[]): FollowEvent => ({
  type: 'list',
  revision,
  entries: keys.map((key) => entry(key, revision)),
});
const made = (revision: string, key: string, version = 1): FollowEvent => ({
  type: 'changes',
  revision,
  changes: [{ type: 'put', entry: entry(key, revision, version) }],
});
const gone = (mod: string, key: string): FollowEvent => ({
  type: 'changes',
  revision: mod,
  changes: [{ type: 'delete', key, mod }],
});

describe('An audit of what a follower was told', () => {
  const rows: [
    what: string,
    before: FollowEvent[],
    count: number,
    newest: string | null,
    after: FollowEvent[],
    differs: boolean,
  ][] = [
    ['agrees where nothing changed', [list('5', 'a', 'b')], 2, null, [], false],
    ['agrees when what was under way has come', [list('5', 'a')], 2, '9', [made('9', 'b')], false],
    ['agrees on a delete that comes after the asking', [list('5', 'a')], 0, null, [gone('8', 'a')], false],
    ['counts a key that is put again once', [list('5', 'a'), made('6', 'a', 2)], 1, null, [], false],
    [
      'leaves out what came after the revision that was asked',
      [list('5')],
      0,
      null,
      [made('12', 'x')],
      false,
    ],
    ['says nothing where more was told than was asked', [list('5'), made('12', 'x')], 0, null, [], false],
    ['begins anew with a list', [list('5', 'a')], 7, '9', [list('11', 'a')], false],
    ['finds a key that was never told', [list('5', 'a')], 2, null, [], true],
    ['finds a delete that was never told', [list('5', 'a', 'b')], 1, null, [], true],
    ['finds a change that was never told', [list('5', 'a')], 1, '9', [], true],
    ['finds one that was passed over', [list('5', 'a')], 1, '9', [made('12', 'a', 3)], true],
  ];
  for (const [what, before, count, newest, after, differs] of rows)
    it(what, () => {
      const audit = new Audit();
      for (const event of before) audit.told(event);
      audit.ask({ revision: '10', count, newest });
      for (const event of after) audit.told(event);
      assert.equal(audit.differs(), differs);
      assert.equal(audit.differs(), false, 'one asking is judged once');
    });
});

for (const programs of await etcds())
  describe(`A follower on etcd ${programs.version}`, async () => {
    const { endpoints } = await clusterForFile({ programs });
    it('that lacks something lists again within the quarter of an hour, and one that lacks nothing does not', async () => {
      const kv = connect(endpoints);
      await kv.txn({ compare: [], then: [put('a/1'), put('a/2')] });
      for (const lacks of [true, false]) {
        const stop = new AbortController();
        const events: FollowEvent[] = [];
        const real = systemClock();
        // Since it was last told everything.
        let passed = 0;
        const twice = Promise.withResolvers<void>();
        const expected = lacks ? [1, 2] : [2];
        // Ten minutes pass at once, and so do the seconds of grace.
        const clock: Clock = {
          ...real,
          after(ms, fn) {
            if (ms < 5_000 || ms === 10_000) return real.after(ms, fn);
            passed += ms;
            if (passed > 1_800_000 && events.length >= expected.length) twice.resolve();
            return real.after(50, fn);
          },
        };
        let lists = 0;
        const following = follow(
          {
            clock,
            members: kv.members,
            chance: Math.random,
            async list(range) {
              const { entries, revision } = await kv.range(range);
              return { entries: lists++ === 0 && lacks ? entries.slice(1) : entries, revision };
            },
            standing: (range, seen) => kv.standing(range, seen),
          },
          'a/',
          stop.signal,
          (event) => {
            passed = 0;
            events.push(event);
          },
        );
        await within('two audits behind the last list', twice.promise, () => ({ passed, events }));
        stop.abort();
        await following;
        assert.deepEqual(
          events.map((event) => (event.type === 'list' ? event.entries.length : 'changes')),
          expected,
        );
      }
      await kv.close();
    });
  });
