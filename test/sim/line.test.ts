import assert from 'node:assert/strict';
import { it } from 'node:test';
import { getJob } from '#core/cluster/jobs.ts';
import { orderRun } from '#core/cluster/orders.ts';
import { Rig } from './rig.ts';

it('a full worker takes on who has waited longest, be it a next attempt or an order', async () => {
  const rig = new Rig();
  const by = { schedule: '@every 1h', command: 'sim 10-10 0' };
  const fails = { ...by, command: 'sim 10-10 1', retry: { attempts: 1, backoff: '5s' } };
  await rig.save({ name: 'a', ...fails });
  await rig.save({ name: 'b', ...fails });
  await rig.save({ name: 'c', ...by });
  await rig.save({ name: 'd', ...by });
  await rig.save({ name: 'long', ...by, command: 'sim 20000-20000 0' });
  const host = rig.host();
  rig.agent(host, {}, true, { capacity: 1 });
  // The attempts of a and b get in line while the long one has the only slot, c and d behind them.
  for (const [at, name] of [
    [1, 'a'],
    [2, 'b'],
    [3, 'long'],
    [12, 'c'],
    [13, 'd'],
  ] as const) {
    await rig.until(at);
    const job = await getJob(rig.api(), `default/${name}`);
    assert.ok(job !== null);
    await orderRun(rig.api(), job, { id: 'o', env: {}, worker: null, by: 'test' });
  }
  await rig.until(40);
  assert.deepEqual(
    rig.stamps.map(({ run }) => run.replace('default~', '')),
    ['a~o~1', 'b~o~1', 'long~o~1', 'a~o~2', 'b~o~2', 'c~o~1', 'd~o~1'],
  );
  assert.deepEqual(rig.crashes, []);
  await rig.end();
});
