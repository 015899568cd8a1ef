import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StoredJob } from '#core/cluster/job-record.ts';
import { getJob } from '#core/cluster/jobs.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { orderBackfill, orderRun } from '#core/cluster/orders.ts';
import { prefixRange, type Txn } from '#core/ports/kv.ts';
import { Rig } from './rig.ts';
import { epoch } from './world.ts';

async function stored(rig: Rig): Promise<StoredJob> {
  const job = await getJob(rig.api(), 'default/j');
  assert.ok(job !== null);
  return job;
}

describe('orders', () => {
  it('that are many do not hold up the instants of their job', async () => {
    const rig = new Rig();
    await rig.save({ schedule: '*/3 * * * * *', command: 'sim 2000-2000 0' });
    for (let n = 0; n < 2; n += 1) rig.agent(rig.host(), {}, true);
    rig.weather.latencyMs = 40;
    await rig.until(20);
    for (let n = 0; n < 60; n += 1)
      await orderBackfill(rig.api(), await stored(rig), {
        ...{ from: epoch - 3_600_000 + n * 3_000, to: epoch - 3_600_000 + n * 3_000, by: 'test' },
        id: `order${n}`,
      });
    await rig.until(80);
    assert.deepEqual(rig.violations('P1', 'P3', 'P6'), []);
    await rig.end();
  });

  it('of which a claim arrives twice, and only the second finds the lane free, are run all the same', async () => {
    const rig = new Rig();
    await rig.save({ schedule: '10 * * * * *', command: 'sim 3000-3000 0' });
    let second: Txn | null = null;
    rig.agent(rig.host(), {
      async tamper(txn: Txn) {
        if (second === null && JSON.stringify(txn).includes('/orders/')) second = txn;
        return txn;
      },
    });
    rig.weather.latencyMs = 20;
    await rig.until(11);
    const { order } = await orderRun(rig.api(), await stored(rig), {
      by: 'test',
      env: {},
      worker: null,
      id: 'byhand',
    });
    // As soon as the lane is free, and before its worker has heard of that.
    await rig.until(12.5);
    const lane = prefixRange(rig.layout.runningLane('default/j', oneLane));
    while ((await rig.store.range(lane)).count > 0) await rig.world.advance(1);
    assert.ok(second !== null);
    assert.ok((await rig.store.txn(second)).succeeded);
    await rig.until(40);
    assert.equal(rig.starts(`default~j~${order}~1`), 1);
    assert.deepEqual(rig.violations('P1', 'P6'), []);
    await rig.end();
  });
});
