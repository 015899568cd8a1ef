import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getJob } from '#core/cluster/jobs.ts';
import { orderRun } from '#core/cluster/orders.ts';
import { Rig } from './rig.ts';
import type { SimAgent } from './sim-agent.ts';

it('a stop in the middle of a claim does not give up the registration of what that starts', async () => {
  const rig = new Rig();
  await rig.save({ schedule: null, command: 'sim 30000-30000 0' });
  const host = rig.host();
  const agent = rig.agent(host);
  await rig.until(3);
  const job = await getJob(rig.api(), 'default/j');
  assert.ok(job !== null);
  rig.weather.latencyMs = 100;
  await orderRun(rig.api(), job, { id: 'o1', env: {}, worker: null, by: 'test' });
  // The order is heard, and its claim under way.
  await rig.until(3.001);
  const stopped = agent.stop();
  await rig.until(5);
  await stopped;
  const { entries } = await rig.store.range({ key: rig.layout.worker(host.id) });
  assert.equal(JSON.parse(entries[0]?.value ?? '{}').state, 'away');
  rig.weather.latencyMs = 3;
  rig.agent(host);
  await rig.until(45);
  assert.deepEqual(rig.crashes, []);
  assert.deepEqual(rig.violations('P1', 'P2', 'P12'), []);
  assert.equal(rig.state('default~j~o1~1'), 'succeeded');
  await rig.end();
});

describe('a stop in the middle of a start', () => {
  for (let afterMs = 0; afterMs <= 60; afterMs += 4)
    it(`leaves a living run its own, ${afterMs} ms after the start`, async () => {
      const rig = new Rig();
      await rig.save({ schedule: '5 * * * * *', command: 'sim 40000-40000 0' });
      const agents = [rig.agent(rig.host()), rig.agent(rig.host())];
      await rig.until(6);
      const at = rig.hosts.findIndex(({ id }) => id === rig.stamps[0]?.host);
      const [owner, host] = [agents[at], rig.hosts[at]];
      assert.ok(owner !== undefined && host !== undefined);
      let stopped = false;
      const stops = (agent: SimAgent) => void agent.stop().then(() => (stopped = true));
      stops(owner);
      while (!stopped) await rig.world.advance(1);
      const next = rig.agent(host);
      await rig.world.advance(afterMs);
      stopped = false;
      stops(next);
      while (!stopped) await rig.world.advance(1);
      await rig.until(30);
      rig.agent(host);
      await rig.until(55);
      assert.equal(rig.state(rig.run(5)), 'succeeded');
      assert.deepEqual(rig.violations('P1', 'P6', 'P12'), []);
      await rig.end();
    });
});
