import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { batcher, type Piece } from '#core/cluster/batch.ts';
import { sleep } from '#core/ports/clock.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const gatherMs = 50;

/** What is put under a job's name; `sent` gets, for each request, when it went and how many it held. */
function gathering() {
  const clock = new VirtualClock();
  const kv = memoryKv({ clock });
  const began = clock.now();
  const sent: [atMs: number, pieces: number][] = [];
  const txn = kv.txn.bind(kv);
  kv.txn = (asked) => {
    sent.push([clock.now() - began, asked.then.length]);
    return txn(asked);
  };
  const batch = batcher({
    ...{ kv, outer: () => [], again: async () => false },
    gather: (enough) => sleep(clock, gatherMs, enough),
  });
  let jobs = 0;
  const submit = () => {
    const job = `default/j${jobs++}`;
    const piece: Piece = { job, txn: { compare: [], then: [{ type: 'put', key: job, value: '' }] } };
    return batch.submit(piece);
  };
  return { clock, sent, submit, batch };
}

describe('pieces that are gathered', () => {
  it('travel together from one request to the next, and who comes alone goes at once', async () => {
    const { clock, sent, submit, batch } = gathering();
    const answers = [submit()];
    await clock.advance(5);
    for (let ms = 0; ms < 120; ms += 10) {
      await clock.advance(10);
      answers.push(submit());
    }
    await clock.advance(1_000);
    answers.push(submit());
    await clock.advance(gatherMs);
    assert.deepEqual(sent, [
      [0, 1],
      [50, 4],
      [100, 5],
      [150, 3],
      [1_125, 1],
    ]);
    for (const answer of await Promise.all(answers)) assert.equal(answer.outcome, 'done');
    await batch.idle();
  });

  it('wait no longer once a whole request is full', async () => {
    const { clock, sent, submit } = gathering();
    void submit();
    await clock.advance(10);
    for (let n = 0; n < 150; n += 1) void submit();
    await clock.advance(10);
    assert.deepEqual(sent, [
      [0, 1],
      [10, 100],
    ]);
    await clock.advance(gatherMs);
    assert.deepEqual(sent.slice(2), [[60, 50]]);
  });
});
