import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pauseJob, resumeJob } from '#core/cluster/jobs.ts';
import { lookOut } from '#core/cluster/look-out.ts';
import { Rig } from './rig.ts';

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
});
