import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Change, type FollowEvent, type Kv, KvError, type Txn } from '#core/ports/kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { effort } from '#test/effort.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { range, txn } from './kv-arbitraries.ts';
import { PlainKv } from './plain-kv.ts';
import { tempFolder } from './temp-folder.ts';

type Step =
  | { do: 'txn'; txns: Txn[] }
  | { do: 'grant'; ttlMs: number }
  | { do: 'renew' | 'revoke'; which: number }
  | { do: 'pass'; ms: number }
  | { do: 'read'; range: { key: string; end?: string }; back: number; limit: number }
  | { do: 'compact'; back: number }
  | { do: 'follow' | 'reopen' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('txn' as const),
      txns: fc.array(txn, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('grant' as const), ttlMs: fc.integer({ min: 1, max: 5_000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('renew' as const, 'revoke' as const),
      which: fc.nat({ max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 3_000 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      range,
      back: fc.nat({ max: 8 }),
      limit: fc.nat({ max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const), back: fc.nat({ max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('follow' as const, 'reopen' as const) }) },
);

/** Entries and changes without what their prototype or freezing may be. */
const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value));
const outcome = async (work: () => unknown) => {
  try {
    return plain(await work());
  } catch (error) {
    if (error instanceof KvError) return error.code;
    throw error;
  }
};

/** Replays `steps` on both, and fails at the first answer or view that differs. */
async function compareOn(
  steps: readonly Step[],
  open: (clock: VirtualClock) => Kv,
  durable: boolean,
): Promise<void> {
  const clock = new VirtualClock();
  const start = clock.boot();
  const at = () => clock.boot() - start;
  const real = { kv: open(clock) };
  const oracle = new PlainKv();
  let compacted = 1;
  let views: ReturnType<typeof viewer>[] = [];

  for (const step of steps) {
    switch (step.do) {
      case 'txn': {
        // Together, so that with SQLite they are one commit.
        const answers = await Promise.all(step.txns.map((txn) => outcome(() => real.kv.txn(txn))));
        for (const [nth, txn] of step.txns.entries()) {
          const answer = answers[nth];
          // Which requests are refused before they are looked at is the suite's to say, case by case.
          if (answer !== 'duplicate_key') assert.deepEqual(answer, await outcome(() => oracle.txn(txn)));
        }
        break;
      }
      case 'grant':
        assert.equal(await real.kv.grant(step.ttlMs), oracle.grant(step.ttlMs, at()));
        break;
      case 'renew':
        assert.equal(await real.kv.renew(String(step.which)), oracle.renew(String(step.which), at()));
        break;
      case 'revoke':
        await real.kv.revoke(String(step.which));
        if (oracle.leases.includes(String(step.which))) oracle.revoke(String(step.which));
        break;
      case 'pass':
        for (let ms = 0; ms < step.ms; ms++) oracle.expire(at() + ms + 1);
        await clock.advance(step.ms);
        break;
      case 'read': {
        const revision = Math.max(1, oracle.revision - step.back);
        const found = oracle.read(step.range, revision);
        const limit = step.limit || found.length;
        const read = () => real.kv.range(step.range, { revision: String(revision), limit: step.limit });
        const expected = {
          entries: found.slice(0, limit),
          revision: String(revision),
          count: found.length,
          more: found.length > limit,
        };
        assert.deepEqual(await outcome(read), revision < compacted ? 'compacted' : plain(expected));
        break;
      }
      case 'compact': {
        const revision = Math.max(1, oracle.revision - step.back);
        const answer = await outcome(() => real.kv.compact(String(revision)).then(() => 'done'));
        assert.equal(answer, revision <= compacted ? 'compacted' : 'done');
        compacted = Math.max(compacted, revision);
        break;
      }
      case 'follow':
        views.push(viewer(real.kv));
        await clock.settle();
        break;
      case 'reopen':
        if (!durable) break;
        // No time passes; leases are tried in kv-sqlite.test.ts, since disk promises them a little longer.
        for (const lease of oracle.leases) {
          await real.kv.revoke(lease);
          oracle.revoke(lease);
        }
        await real.kv.close();
        await Promise.all(views.map((view) => view.end(oracle)));
        views = [];
        real.kv = open(clock);
        compacted = oracle.revision;
    }
    const everything = { key: 'a', end: 'z' };
    assert.deepEqual(plain((await real.kv.range(everything)).entries), plain(oracle.read(everything)));
    assert.equal((await real.kv.range({ key: 'a' })).revision, String(oracle.revision));
  }
  await clock.settle();
  await real.kv.close();
  await Promise.all(views.map((view) => view.end(oracle)));
}

/** Follows `k/` and keeps what it is told. */
function viewer(kv: Kv) {
  const events: FollowEvent[] = [];
  const ended = kv.follow('k/', new AbortController().signal, (event) => events.push(event));
  return {
    async end(oracle: PlainKv): Promise<void> {
      await ended;
      const [list, ...rest] = events;
      assert.equal(list?.type, 'list');
      const from = Number(list?.revision);
      assert.deepEqual(
        plain(list?.type === 'list' ? list.entries : []),
        plain(oracle.read({ key: 'k/', end: 'k0' }, from)),
      );
      const mine = (change: Change) =>
        (change.type === 'put' ? change.entry.key : change.key).startsWith('k/');
      const expected: { revision: string; changes: Change[] }[] = [];
      for (let revision = from + 1; revision <= oracle.revision; revision++) {
        const changes = (oracle.changes[revision] ?? []).filter(mine);
        if (changes.length > 0) expected.push({ revision: String(revision), changes });
      }
      assert.deepEqual(
        plain(
          rest.map(({ revision, ...event }) => ({
            revision,
            changes: 'changes' in event ? event.changes : [],
          })),
        ),
        plain(expected),
      );
    },
  };
}

/** A failing run prints seed and path: `fc.assert(..., { seed, path })` replays it. */
const property = (
  open: (clock: VirtualClock) => { kv: (clock: VirtualClock) => Kv; clean(): void },
  durable: boolean,
) =>
  fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
    const opened = open(new VirtualClock());
    try {
      await compareOn(steps, opened.kv, durable);
    } finally {
      opened.clean();
    }
  });

describe('Kv held against its definition on random histories', () => {
  it('answers, shows and tells the same in memory', async () => {
    await fc.assert(
      property(() => ({ kv: (clock) => memoryKv({ clock }), clean() {} }), false),
      { numRuns: effort(400, 4_000) },
    );
  });
  it('answers, shows and tells the same on SQLite, closed and opened again at any time', async () => {
    const inFile = () => {
      const { file, clean } = tempFolder();
      return { kv: (clock: VirtualClock) => sqliteKv({ file, clock }), clean };
    };
    await fc.assert(property(inFile, true), { numRuns: effort(100, 600) });
  });
});
