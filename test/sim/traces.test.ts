import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getJob } from '#core/cluster/jobs.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { orderRun } from '#core/cluster/orders.ts';
import { Rig } from './rig.ts';
import type { SimAgent } from './sim-agent.ts';

const long = 'sim 60000-60000 0';

/** A run of the instant at 10 s is under way on the only host when that loses its power at 12 s. */
async function underWay(input: Parameters<Rig['save']>[0]): Promise<{ rig: Rig; agent: SimAgent }> {
  const rig = new Rig();
  const host = rig.host();
  await rig.save({ schedule: '10 * * * * *', command: long, ...input });
  const agent = rig.agent(host);
  await rig.until(12);
  assert.equal(rig.starts(rig.run(10)), 1);
  agent.life.kill();
  return { rig, agent };
}

describe('a host that knows nothing of a run of its worker any more', () => {
  for (const guarantee of ['at-most-once', 'at-least-once'] as const) {
    it(`another of its name with an empty disk: the run is lost, and not started again (${guarantee})`, async () => {
      const { rig, agent } = await underWay({ guarantee });
      agent.life.host.replace();
      rig.agent(agent.life.host);
      await rig.until(50);
      assert.equal(rig.state(rig.run(10)), 'lost');
      assert.equal(rig.starts(rig.run(10)), 1);
      assert.equal(rig.starts(rig.run(10, 2)), guarantee === 'at-least-once' ? 1 : 0);
      assert.deepEqual(rig.violations('P1', 'P2', 'P6', 'P7', 'P11'), []);
      await rig.end();
    });

    it(`after a power cut that took its directory: the same (${guarantee})`, async () => {
      const { rig, agent } = await underWay({ guarantee });
      agent.life.host.reboot();
      agent.life.host.files.clear();
      rig.agent(agent.life.host);
      await rig.until(50);
      assert.equal(rig.state(rig.run(10)), 'lost');
      assert.equal(rig.starts(rig.run(10)), 1);
      assert.equal(rig.starts(rig.run(10, 2)), guarantee === 'at-least-once' ? 1 : 0);
      assert.deepEqual(rig.violations('P1', 'P2', 'P6', 'P7', 'P11'), []);
      await rig.end();
    });
  }

  it('that had been asked to be killed: no attempt follows', async () => {
    const { rig, agent } = await underWay({ guarantee: 'at-least-once' });
    agent.life.host.replace();
    const at = rig.world.utc;
    const value = { by: 'test', at, expiresAt: at + 86_400_000, signalledAt: null, confirmedAt: null };
    await rig.store.txn({
      compare: [],
      then: [
        {
          type: 'put',
          key: rig.layout.kill(rig.run(10)),
          value: JSON.stringify({ ...value, signal: null, graceMs: null }),
        },
      ],
    });
    rig.agent(agent.life.host);
    await rig.until(50);
    assert.equal(rig.state(rig.run(10)), 'lost');
    assert.equal(rig.stamps.length, 1);
    await rig.end();
  });

  it('because it was killed between claim and arming: it is started', async () => {
    const rig = new Rig();
    const host = rig.host();
    await rig.save({ schedule: '50 * * * * *', command: long });
    const agent = rig.agent(host);
    await rig.until(5);
    const job = await getJob(rig.api(), 'default/j');
    assert.ok(job !== null);
    const how = { id: 'byhand', by: 'test', env: {}, worker: null };
    const { order } = await orderRun(rig.api(), job, how);
    const run = `default~j~${order}~1`;
    const key = { key: rig.layout.run('default/j', oneLane, run) };
    while ((await rig.store.range(key)).count === 0) await rig.world.advance(1);
    agent.life.kill();
    assert.equal(host.files.size, 0);
    rig.agent(host);
    await rig.until(30);
    assert.equal(rig.starts(run), 1);
    await rig.end();
  });
});

describe('a host that is replaced after its worker has been stopped', () => {
  it('is that worker again as soon as a restart would have been over, and what had run there is lost', async () => {
    const rig = new Rig();
    const host = rig.host();
    await rig.save({ schedule: '10 * * * * *', command: long });
    const agent = rig.agent(host);
    await rig.until(12);
    const stopping = agent.stop();
    await rig.until(14);
    await stopping;
    const { entries } = await rig.store.range({ key: rig.layout.worker('w0') });
    assert.match(entries[0]?.value ?? '', /"state":"away"/);
    host.replace();
    rig.agent(host);
    await rig.until(24);
    assert.equal(rig.state(rig.run(10)), 'running', 'its own next start would still find it');
    await rig.until(31);
    assert.equal(rig.state(rig.run(10)), 'lost');
    assert.deepEqual(rig.crashes, []);
    await rig.until(75);
    assert.equal(rig.starts(rig.run(70)), 1);
    assert.deepEqual(rig.violations('P1', 'P2', 'P6', 'P11'), []);
    await rig.end();
  });
});
