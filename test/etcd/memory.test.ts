import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { type FollowEvent, type Kv, KvError, type Op, type Txn } from '#core/ports/kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { range, txn } from '#test/contract/kv-arbitraries.ts';
import { put } from '#test/contract/kv-suite.ts';
import { effort } from '#test/effort.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { within } from '#test/until.ts';
import { clusterForFile, describeEach, madeOn } from './servers.ts';

type Step =
  | { do: 'txn'; txn: Txn }
  | {
      do: 'read';
      range: { key: string; end?: string };
      back: number;
      limit: number;
      bare: 'keys' | 'count' | '';
    }
  | { do: 'compact'; back: number }
  | { do: 'revoke'; which: number }
  | { do: 'grant' | 'follow' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('txn' as const), txn }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      range,
      back: fc.integer({ min: -1, max: 8 }),
      limit: fc.nat({ max: 3 }),
      bare: fc.constantFrom('keys', 'count', '', ''),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('compact' as const), back: fc.integer({ min: -1, max: 8 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke' as const), which: fc.nat({ max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('grant' as const, 'follow' as const) }) },
);

/** One store with what names its leases: the nth that was granted is called n, whatever its id. */
class Side {
  readonly kv: Kv;
  readonly leases: string[] = [];
  readonly views: { events: FollowEvent[]; until(revision: string): Promise<void>; end(): Promise<void> }[] =
    [];

  constructor(kv: Kv) {
    this.kv = kv;
  }

  /** What came of it, with leases by their numbers and faults by their codes. */
  async outcome(work: Promise<unknown>): Promise<unknown> {
    try {
      return JSON.parse(JSON.stringify((await work) ?? null), (name, value) =>
        name === 'lease' && value !== null ? this.leases.indexOf(value) : value,
      );
    } catch (error) {
      if (error instanceof KvError) return error.code;
      if (error instanceof RangeError) return 'ahead';
      throw error;
    }
  }

  txn(it: Txn): Txn {
    const op = (one: Op): Op => {
      if (one.type === 'txn') return { ...one, txn: this.txn(one.txn) };
      if (one.type !== 'put' || one.lease === undefined) return one;
      return { ...one, lease: this.leases[Number(one.lease)] ?? '404404' };
    };
    return { compare: it.compare, then: it.then.map(op), ...(it.else && { else: it.else.map(op) }) };
  }

  async follow(): Promise<void> {
    const events: FollowEvent[] = [];
    const stop = new AbortController();
    let look = () => {};
    const ended = this.kv.follow('k/', stop.signal, (event) => {
      events.push(event);
      look();
    });
    const until = (holds: () => boolean) => {
      const held = new Promise<void>((resolve) => {
        look = () => {
          if (holds()) resolve();
        };
        look();
      });
      return within(`a follower, ${holds}`, held, () => events);
    };
    this.views.push({
      events,
      until: (revision) => until(() => events.at(-1)?.revision === revision),
      end: async () => {
        stop.abort();
        await ended;
      },
    });
    await until(() => events.length > 0);
  }
}

/** Does the same to both, and fails at the first difference in what they answer, show or tell. */
async function compareBoth(steps: readonly Step[], memory: Side, etcd: Side): Promise<void> {
  const sides = [memory, etcd];
  let revision = 1;
  const same = async (work: (side: Side) => Promise<unknown>) => {
    const [inMemory, inEtcd] = await Promise.all(sides.map((side) => side.outcome(work(side))));
    assert.deepEqual(inMemory, inEtcd);
    return inEtcd;
  };
  const at = (back: number) => String(Math.max(1, revision - back));
  for (const step of steps) {
    switch (step.do) {
      case 'txn': {
        const answer = await same((side) => side.kv.txn(side.txn(step.txn)));
        if (typeof answer === 'object' && answer !== null && 'revision' in answer)
          revision = Number(answer.revision);
        break;
      }
      case 'read':
        await same((side) =>
          side.kv.range(step.range, {
            revision: at(step.back),
            limit: step.limit,
            keysOnly: step.bare === 'keys',
            countOnly: step.bare === 'count',
          }),
        );
        break;
      case 'compact':
        // Of a new memory store the first revision counts as compacted; of etcd's only the first of all.
        if (at(step.back) !== '1') await same((side) => side.kv.compact(at(step.back)));
        break;
      case 'grant':
        for (const side of sides) side.leases.push(await side.kv.grant(600_000));
        break;
      case 'revoke':
        await same((side) => side.kv.revoke(side.leases[step.which] ?? '404404'));
        break;
      case 'follow': {
        for (const side of sides) await side.follow();
        // Its watch may stand later than its list is told, and find what lies between compacted.
        const begun = (await same((side) => side.kv.txn({ compare: [], then: [put('k/begun')] }))) as {
          revision: string;
        };
        for (const side of sides) await side.views.at(-1)?.until(begun.revision);
      }
    }
    const now = await same((side) => side.kv.range({ key: 'a', end: 'z' }));
    revision = Number((now as { revision: string }).revision);
  }
  const last = (await same((side) => side.kv.txn({ compare: [], then: [put('k/last')] }))) as {
    revision: string;
  };
  for (const side of sides) for (const view of side.views) await view.until(last.revision);
  for (const nth of memory.views.keys()) await same(async (side) => side.views[nth]?.events);
  for (const side of sides) for (const view of side.views) await view.end();
  for (const side of sides) for (const lease of side.leases) await side.kv.revoke(lease);
}

await describeEach('The memory store on random requests, beside', async (programs) => {
  const { endpoints } = await clusterForFile({ programs });
  it('answers, shows and tells the same (a failure prints seed and path: fc.assert(..., { seed, path }))', async () => {
    const steps = fc.array(step, { minLength: 5, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        const made = await madeOn(endpoints);
        const memory = new Side(memoryKv({ clock: new VirtualClock() }));
        try {
          await compareBoth(steps, memory, new Side(made.kv));
        } finally {
          await made.kv.close();
          await memory.kv.close();
        }
      }),
      { numRuns: effort(60, 600) },
    );
  });
});
