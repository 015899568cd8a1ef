import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getJob } from '#core/cluster/jobs.ts';
import { orderRun } from '#core/cluster/orders.ts';
import { Rig } from './rig.ts';

const long = 'sim 8000-8000 0';

async function order(rig: Rig): Promise<string> {
  const job = await getJob(rig.api(), 'default/j');
  assert.ok(job !== null);
  return (await orderRun(rig.api(), job, { id: 'byhand', by: 'test', env: {}, worker: null })).order;
}

describe('a job that is aimed anew', () => {
  it('from all workers to one: of what was ordered for each of them each runs once', async () => {
    const rig = new Rig();
    for (let n = 0; n < 2; n += 1) rig.agent(rig.host());
    await rig.save({ mode: 'all', command: long, schedule: '10 * * * * *' });
    await rig.until(12);
    // They wait for the runs of the schedule.
    const id = await order(rig);
    await rig.until(13);
    await rig.save({ mode: 'one', overlap: 'allow', command: long, schedule: '10 * * * * *' });
    await rig.until(40);
    for (const worker of ['w0', 'w1']) assert.equal(rig.starts(`default~j~${id}~1~${worker}`), 1);
    assert.deepEqual(rig.violations('P1', 'P2', 'P12'), []);
    await rig.end();
  });

  for (const [from, to] of [
    ['one', 'all'],
    ['all', 'one'],
  ] as const)
    it(`from ${from} to ${to} between a claim and its instant: that does not run once more`, async () => {
      const rig = new Rig();
      for (let n = 0; n < 2; n += 1) rig.agent(rig.host());
      await rig.save({ mode: from });
      const claimed = () => rig.told.some(({ type }) => type === 'run.claimed');
      while (!claimed()) await rig.world.advance(1);
      assert.ok(rig.world.time < 10_000);
      await rig.save({ mode: to });
      await rig.until(25);
      const of = (instant: number) => rig.stamps.filter(({ plan }) => plan.instant === instant).length;
      const [first, second] = [10, 20].map((seconds) => of(rig.instant(seconds)));
      assert.deepEqual([first, second], from === 'one' ? [1, 2] : [2, 1]);
      assert.deepEqual(rig.violations('P1', 'P2'), []);
      await rig.end();
    });

  it('while an attempt waits on a worker that it leaves: it is cancelled', async () => {
    const rig = new Rig();
    for (let n = 0; n < 2; n += 1) rig.agent(rig.host());
    const job = { mode: 'all', command: 'sim 20-20 1', schedule: '10 * * * * *' } as const;
    await rig.save({ ...job, retry: { attempts: 1, backoff: '5s', factor: 1 } });
    await rig.until(12);
    await rig.save({ ...job, target: { workers: ['w0'] } });
    await rig.until(20);
    const ends = ['w0', 'w1'].map((worker) => rig.state(`${rig.run(10, 2)}~${worker}`));
    assert.deepEqual(ends, ['failed', 'cancelled']);
    assert.deepEqual(rig.violations('P11', 'target'), []);
    await rig.end();
  });

  it('at all of others, while an attempt of one waits on a worker that it leaves: it is cancelled', async () => {
    const rig = new Rig();
    const job = {
      schedule: '10 * * * * *',
      command: 'sim 100-100 1',
      retry: { attempts: 1, backoff: '10s' },
    };
    await rig.save({ ...job, target: { workers: ['w0'] } });
    for (let n = 0; n < 3; n += 1) rig.agent(rig.host());
    await rig.until(15);
    await rig.save({ ...job, mode: 'all', target: { workers: ['w1', 'w2'] } });
    await rig.until(30);
    assert.equal(rig.state(rig.run(10, 2)), 'cancelled');
    assert.deepEqual(rig.violations('P1', 'P11'), []);
    await rig.end();
  });
  it('while a claim is all that its worker has left: it does not start there', async () => {
    const rig = new Rig();
    const host = rig.host();
    const agent = rig.agent(host);
    await rig.save({ schedule: '50 * * * * *' });
    await rig.until(5);
    const run = `default~j~${await order(rig)}~1`;
    const stands = () => [...rig.log.present.keys()].some((key) => key.endsWith(run));
    while (!stands()) await rig.world.advance(1);
    agent.life.kill();
    assert.equal(host.files.size, 0);
    await rig.save({ schedule: '50 * * * * *', target: { workers: ['another'] } });
    rig.agent(host);
    await rig.until(30);
    assert.equal(rig.starts(run), 0);
    assert.equal(rig.state(run), 'skipped');
    await rig.end();
  });
});
