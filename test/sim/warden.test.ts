import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rig } from './rig.ts';
import type { Mistakes } from './sim-agent.ts';

/** Two workers, one run of `onLeaseLoss: kill`; its worker is stopped (SIGSTOP) for a minute from 12 s on. */
async function stopped(mistakes: Mistakes, command = 'sim 50000-50000 0 stubborn'): Promise<Rig> {
  const rig = new Rig();
  await rig.save({
    ...{ schedule: '*/30 * * * * *', command, guarantee: 'at-least-once' },
    ...{ onLeaseLoss: 'kill', killGrace: '5s', overlap: 'skip' },
  });
  const agents = [rig.agent(rig.host(), mistakes, true), rig.agent(rig.host(), mistakes, true)];
  await rig.until(31);
  const owner = agents[rig.hosts.findIndex(({ id }) => id === rig.stamps[0]?.host)];
  owner?.life.pause();
  await rig.until(91);
  owner?.life.resume();
  await rig.until(200);
  assert.deepEqual(rig.crashes, []);
  return rig;
}

describe('a run that must not outlive its lease', () => {
  it('has ended before any other worker takes its place, with its grace, and is tried again', async () => {
    const rig = await stopped({});
    const [first, second] = rig.stamps;
    assert.equal(first?.signalled, 'cut_off');
    assert.deepEqual(rig.violations('P1', 'P6', 'P8'), []);
    assert.equal(second?.run, rig.run(30, 2), 'the next attempt, for at-least-once');
    assert.notEqual(second?.host, first?.host);
    assert.ok((second?.start ?? 0) > (first?.end ?? Number.POSITIVE_INFINITY));
    // Who closed it said lost; what its own worker knows stands beside.
    const record = rig.history.records.get(rig.run(30));
    assert.deepEqual([record?.state, record?.also?.state], ['lost', 'killed']);
    assert.match(record?.also?.reason ?? '', /cut off/);
    await rig.end();
  });

  it('would overlap without its warden', async () => {
    const rig = await stopped({ noWarden: true });
    assert.notDeepEqual(rig.violations('P1', 'P6'), []);
    await rig.end();
  });

  it('is called killed, and tried again, where its worker was back before it was closed', async () => {
    const rig = new Rig();
    await rig.save({
      ...{ schedule: '*/30 * * * * *', command: 'sim 60000-60000 0', guarantee: 'at-least-once' },
      ...{ onLeaseLoss: 'kill', killGrace: '5s', overlap: 'skip' },
    });
    const agent = rig.agent(rig.host(), {}, true);
    await rig.until(31);
    agent.life.pause();
    await rig.until(43);
    agent.life.resume();
    await rig.until(110);
    const record = rig.history.records.get(rig.run(30));
    assert.deepEqual(
      [record?.state, record?.reason],
      ['killed', 'its worker was cut off, and its onLeaseLoss is kill'],
    );
    assert.equal(rig.starts(rig.run(30, 2)), 1);
    assert.deepEqual(rig.violations('P1', 'P6', 'P8'), []);
    await rig.end();
  });

  for (let step = 1; step <= 14; step += 1)
    it(`has ended before another takes its place, though its agent died again at step ${step} of its next start`, async () => {
      const rig = new Rig();
      await rig.save({
        ...{ schedule: '*/5 * * * * *', command: 'sim 50000-50000 0', overlap: 'skip' },
        ...{ onLeaseLoss: 'kill', killGrace: '1s' },
      });
      const agents = [rig.agent(rig.host()), rig.agent(rig.host())];
      await rig.until(6);
      const at = rig.hosts.findIndex(({ id }) => id === rig.stamps[0]?.host);
      const [owner, host] = [agents[at], rig.hosts[at]];
      assert.ok(owner !== undefined && host !== undefined);
      owner.life.kill();
      await rig.until(6.5);
      const { life } = rig.agent(host);
      life.atStep(step, () => life.kill());
      await rig.until(40);
      assert.ok(life.dead);
      assert.equal(rig.stamps[0]?.signalled, 'cut_off');
      assert.ok((rig.stamps[1]?.start ?? 0) > (rig.stamps[0]?.end ?? Number.POSITIVE_INFINITY));
      assert.deepEqual(rig.violations('P1', 'P6', 'P8'), []);
      await rig.end();
    });
});
