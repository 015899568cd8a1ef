import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { batcher } from '#core/cluster/batch.ts';
import { type Kv, KvError, type Op } from '#core/ports/kv.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const put = (key: string, bytes: number): Op => ({ type: 'put', key, value: 'x'.repeat(bytes) });
const piece = (job: string, bytes: number) => ({ job, txn: { compare: [], then: [put(job, bytes)] } });

describe('Many transactions in one request', () => {
  it('go apart where they are too much together, and who is too much alone goes alone', async () => {
    const kv = memoryKv({ clock: new VirtualClock({ now: 0 }) });
    const batch = batcher({ kv, outer: () => [], again: async () => false });
    const sizes = [600_000, 600_000, 2_000_000, 600_000, 10];
    const done = await Promise.allSettled(sizes.map((bytes, n) => batch.submit(piece(`g/j${n}`, bytes))));
    assert.deepEqual(
      done.map((one) => (one.status === 'fulfilled' ? one.value.outcome : one.reason.code)),
      ['done', 'done', 'too_large', 'done', 'done'],
    );
    await batch.idle();
    assert.equal((await kv.range({ key: 'g/', end: 'g0' }, { countOnly: true })).count, 4);
    await kv.close();
  });

  it('are sent again while the store is full or a right is missing, which somebody will mend', async () => {
    const store = memoryKv({ clock: new VirtualClock({ now: 0 }) });
    const refusals: KvError['code'][] = ['full', 'forbidden', 'unavailable'];
    const kv: Kv = new Proxy(store, {
      get(of, name) {
        const member: unknown = Reflect.get(of, name, of);
        if (name === 'txn' && refusals.length > 0)
          return async () => Promise.reject(new KvError(refusals.shift() ?? 'unknown', 'not now'));
        return typeof member === 'function' ? member.bind(of) : member;
      },
    });
    const told: string[] = [];
    const again = async (attempt: number, { code }: KvError) => told.push(`${attempt} ${code}`) > 0;
    const result = await batcher({ kv, outer: () => [], again }).submit(piece('g/j', 1));
    assert.equal(result.outcome === 'done' && result.succeeded && !result.doubt, true);
    assert.deepEqual(told, ['1 full', '2 forbidden', '3 unavailable']);
    await store.close();
  });
});
