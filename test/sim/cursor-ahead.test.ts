import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pauseJob, resumeJob } from '#core/cluster/jobs.ts';
import { lookOut } from '#core/cluster/look-out.ts';
import { Rig } from './rig.ts';
import { costOf } from './store-cost.ts';

const id = 'default/j';

describe('a cursor that a clock a year ahead has written', () => {
  it('stops its job, is seen from outside, and by what is advised then the job goes on: nothing twice, nothing of before', async () => {
    const rig = new Rig();
    await rig.save();
    for (let i = 0; i < 2; i += 1) rig.agent(rig.host(), {}, true);
    await rig.until(25);
    assert.equal(rig.starts(rig.run(20)), 1);
    const key = rig.layout.cursor(id, '~');
    const instant = rig.instant(365 * 86_400);
    const value = JSON.stringify({ instant, from: 'w9', why: 'run', run: null });
    await rig.store.txn({ compare: [], then: [{ type: 'put', key, value }] });
    await rig.until(95);
    assert.equal(rig.stamps.filter(({ start }) => start > 25_000).length, 0);
    const seen = await lookOut(rig.api(), { loads: async () => [] });
    assert.deepEqual(
      seen.overdue.map(({ job, ahead }) => [job, ahead]),
      [[id, instant]],
    );

    await pauseJob(rig.api(), id, { by: 'ann', reason: '', until: null }, {});
    await rig.store.txn({ compare: [], then: [{ type: 'delete', key }] });
    await rig.until(98);
    await resumeJob(rig.api(), id, {});
    await rig.until(135);
    const starts = (at: number) => rig.starts(rig.run(at));
    assert.deepEqual([20, 30, 90, 100, 110, 120, 130].map(starts), [1, 0, 0, 1, 1, 1, 1]);
    assert.deepEqual((await lookOut(rig.api(), { loads: async () => [] })).overdue, []);
    assert.deepEqual(rig.crashes, []);
    await rig.end();
  });

  it('and that is taken away by hand is seen soon, though the job stays as it is', async () => {
    const rig = new Rig();
    await rig.save({ catchUp: 'none' });
    rig.agent(rig.host(), {}, true);
    await rig.until(25);
    const key = rig.layout.cursor(id, '~');
    const put = (instant: number) =>
      rig.store.txn({
        compare: [],
        then: [{ type: 'put', key, value: JSON.stringify({ instant, from: 'w9', why: 'run', run: null }) }],
      });
    await put(rig.instant(365 * 86_400));
    await rig.until(45);
    await put(rig.instant(40));
    await rig.until(75);
    assert.equal(rig.starts(rig.run(70)), 1);
    await rig.end();
  });

  describe('of many jobs', () => {
    const jobs = 40;
    /** How often in each of the next seconds somebody looks at a cursor. */
    async function looks(
      seconds: number,
      act: (rig: Rig, job: string) => Promise<unknown>,
    ): Promise<number[]> {
      const rig = new Rig();
      const cost = costOf(rig.store, rig.layout.cursors);
      for (let n = 0; n < jobs; n += 1) {
        await rig.save({ name: `j${n}` });
        const value = JSON.stringify({
          instant: rig.instant(365 * 86_400),
          from: 'w9',
          why: 'run',
          run: null,
        });
        const put = { type: 'put', key: rig.layout.cursor(`default/j${n}`, '~'), value } as const;
        await rig.store.txn({ compare: [], then: [put] });
        await act(rig, `default/j${n}`);
      }
      for (let i = 0; i < 3; i += 1) rig.agent(rig.host(), {}, true);
      await rig.until(20);
      const each: number[] = [];
      for (let at = 21; at <= 20 + seconds; at += 1) {
        cost.reset();
        await rig.until(at);
        each.push(cost.looks);
      }
      assert.deepEqual(rig.crashes, []);
      await rig.end();
      return each;
    }
    const sum = (counts: number[]) => counts.reduce((all, count) => all + count, 0);

    for (const [what, act] of [
      ['disabled', (rig: Rig, job: string) => rig.save({ name: job.slice(8), enabled: false })],
      [
        'paused',
        (rig: Rig, job: string) => pauseJob(rig.api(), job, { by: 'ann', reason: '', until: null }, {}),
      ],
      [
        'paused for a while',
        (rig: Rig, job: string) =>
          pauseJob(rig.api(), job, { by: 'ann', reason: '', until: rig.instant(3_600) }, {}),
      ],
    ] as const)
      it(`is not asked for where they are ${what}`, async () => {
        // A keeper's sweep may be among it.
        assert.ok(sum(await looks(30, act)) <= 2);
      });

    it('is asked for by one after the other, not by all in the same second', async () => {
      const each = await looks(60, async () => {});
      assert.ok(sum(each) >= jobs * 3);
      assert.ok(Math.max(...each.slice(30)) < jobs, each.join());
    });
  });
});
