import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { claimInstant, claimOrder, readLane } from '#core/cluster/claim.ts';
import { finish } from '#core/cluster/finish.ts';
import { layout as layoutOf, oneLane } from '#core/cluster/keys.ts';
import type { RunningValue } from '#core/cluster/records.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const job = 'default/j';
const layout = layoutOf();
const running: RunningValue = {
  ...{ worker: 'w', incarnation: '1', state: 'waiting', instant: 1, attempt: 2, losses: 0, covers: null },
  ...{ notBefore: 1, at: 1, trigger: 'retry', order: null, by: null, env: {} },
};

/** A lane in which thousands wait for their next attempt. */
async function crowded() {
  const kv = memoryKv({ clock: new VirtualClock({ now: 0 }) });
  for (let n = 0; n < 5_000; n += 1)
    await kv.txn({
      compare: [],
      then: [
        {
          type: 'put',
          key: layout.run(job, oneLane, `default~j~a${n}~2`),
          value: JSON.stringify(running),
        },
      ],
    });
  return kv;
}

/** What a client takes of an answer is 4 MiB, and a request holds up to a hundred of these. */
const most = 40_000;

describe('a lane in which thousands wait', () => {
  it('is not told as a whole to whose claim is refused; its own key is, wherever that stands', async () => {
    const kv = await crowded();
    const run = 'default~j~z~1';
    const claim = { run, overlaps: true, running, owed: [] };
    const cursor = { instant: 5, from: 'w', why: 'run', run };
    const basis = { job, lane: oneLane, cursorMod: '0', jobMod: '0' };
    const { txn } = claimInstant(layout, basis, { ...claim, cursor });
    const { revision } = await kv.txn(txn);
    const again = await kv.txn(txn);
    assert.equal(again.succeeded, false);
    assert.ok(JSON.stringify(again.results).length < most);
    const { own, cursor: moved } = readLane(again.results);
    assert.deepEqual([own?.create, moved?.mod], [revision, revision]);
  });

  it('nor to whose claim of an order is', async () => {
    const kv = await crowded();
    const basis = { job, lane: oneLane, order: 'o', orderMod: '7', jobMod: '0' };
    const order = { kind: 'run', from: null, to: null, next: null, env: {}, worker: null } as const;
    const value = { ...order, expiresAt: null, taken: null, done: true, by: 'me', at: 1 };
    const how = { run: 'default~j~a4999~2', overlaps: true, running, order: value };
    const answer = await kv.txn(claimOrder(layout, basis, how).txn);
    assert.ok(JSON.stringify(answer.results).length < most);
    const own = answer.results[2];
    assert.equal(own?.type === 'range' && own.entries[0]?.key, layout.run(job, oneLane, how.run));
  });

  it('nor to whose finish is: it hears of the run and of the attempt that follows', async () => {
    const kv = await crowded();
    const end = { owed: null, at: 1, by: 'w', next: { run: 'default~j~a4999~2', running } };
    const basis = { job, lane: oneLane, run: 'default~j~gone~1', mod: '7' };
    const answer = await kv.txn(finish(layout, basis, end).txn);
    const told = answer.results.flatMap((seen) => (seen.type === 'range' ? seen.entries : []));
    assert.deepEqual(
      told.map(({ key }) => key),
      [layout.run(job, oneLane, 'default~j~a4999~2')],
    );
  });
});
