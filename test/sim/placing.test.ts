import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import * as v from 'valibot';
import { getJob } from '#core/cluster/jobs.ts';
import { orderRun } from '#core/cluster/orders.ts';
import { WorkerValue } from '#core/cluster/records.ts';
import { Rig } from './rig.ts';

/** How workers that share the jobs tell each other that they can't take any. */
describe('who takes what', () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });
  afterEach(async () => {
    assert.deepEqual(rig.crashes, []);
    await rig.end();
  });

  async function registered(id: string): Promise<WorkerValue> {
    const { entries } = await rig.store.range({ key: rig.layout.worker(id) });
    return v.parse(WorkerValue, JSON.parse(entries[0]?.value ?? 'null'));
  }

  /** Hosts that are measured against the true time, with an agent each. */
  function fleet(count: number, capacity?: number): void {
    const more = capacity === undefined ? {} : { capacity };
    for (let i = 0; i < count; i += 1) rig.agent(rig.host(), {}, true, more);
  }

  /** The way to History is some ms long, and not the same there and back. */
  const near = ({ clockSkewMs }: WorkerValue, ms: number) => Math.abs((clockSkewMs ?? 0) - ms) <= 10;
  const hostsOf = (from: number, to: number) =>
    rig.stamps.filter(({ start }) => start >= from * 1_000 && start < to * 1_000).map(({ host }) => host);

  it('gives up its lanes when its clock goes off, says so, and works on when it is right again', async () => {
    for (let i = 0; i < 8; i += 1)
      await rig.save({ name: `j${i}`, schedule: '* * * * * *', command: 'sim 10-20 0' });
    fleet(2);
    // Between two instants: what is claimed by then waits for its clock, and its job with it.
    await rig.until(10.5);
    const [off, right] = rig.hosts;
    assert.ok(off !== undefined && right !== undefined);
    assert.equal(new Set(hostsOf(5, 10)).size, 2);
    off.step(-5_000);
    await rig.until(15);
    assert.ok(near(await registered(off.id), -5_000));
    await rig.until(30);
    assert.deepEqual([...new Set(hostsOf(15, 30))], [right.id]);
    assert.ok(hostsOf(15, 30).length >= 8 * 14, 'the other has taken them over');
    assert.deepEqual(rig.violations('P1', 'P2', 'P4'), []);
    off.step(4_700);
    await rig.until(50);
    assert.ok(near(await registered(off.id), -300));
    assert.equal(new Set(hostsOf(40, 50)).size, 2);
    assert.deepEqual(rig.violations('P1', 'P4'), []);
  });

  it('starts nothing early though its clock leaps ahead', async () => {
    await rig.save({ schedule: '*/10 * * * * *', command: 'sim 10-20 0' });
    fleet(1);
    await rig.until(18.3);
    rig.hosts[0]?.step(6_000);
    await rig.until(25);
    assert.equal(rig.starts(rig.run(20)), 0);
    rig.hosts[0]?.step(-6_000);
    await rig.until(40);
    assert.equal(rig.starts(rig.run(20)), 1, 'held back, and started when the clock was right again');
    assert.deepEqual(rig.violations('P1', 'P4'), []);
  });

  it('gives up what it has claimed when its clock stays off, with a record that says so', async () => {
    await rig.save({ schedule: '*/10 * * * * *', command: 'sim 10-20 0' });
    fleet(1);
    await rig.until(19.9);
    rig.hosts[0]?.step(6_000);
    await rig.until(90);
    const record = rig.history.records.get(rig.run(20));
    assert.deepEqual([record?.state, rig.starts(rig.run(20))], ['missed', 0]);
    assert.match(record?.reason ?? '', /clock was 6000 ms off/);
  });

  it('goes on claiming while History is away, by the last offset', async () => {
    await rig.save({ schedule: '* * * * * *', command: 'sim 10-20 0' });
    fleet(1);
    await rig.until(5);
    rig.history.down = true;
    await rig.until(60);
    assert.ok(hostsOf(5, 60).length >= 54);
  });

  it('leaves to others what it has no room for, however many are full', async () => {
    // Long runs fill three of four workers; what comes then must not wait for them.
    for (let i = 0; i < 3; i += 1)
      await rig.save({
        name: `long${i}`,
        schedule: '@every 1h',
        command: 'sim 600000-600000 0',
        target: { workers: [`w${i}`] },
      });
    for (let i = 0; i < 12; i += 1)
      await rig.save({ name: `j${i}`, schedule: '*/20 * * * * *', command: 'sim 10-20 0', catchUp: 'none' });
    fleet(4, 1);
    await rig.until(2);
    for (let i = 0; i < 3; i += 1) {
      const job = await getJob(rig.api(), `default/long${i}`);
      assert.ok(job !== null);
      await orderRun(rig.api(), job, { id: `o${i}`, env: {}, worker: null, by: 'test' });
    }
    await rig.until(100);
    const late = rig.stamps
      .filter(({ plan, start }) => plan.trigger === 'schedule' && start > 30_000)
      .map(({ goWall, plan }) => goWall - (plan.instant ?? goWall));
    // Twelve short runs on one slot, one after the other.
    assert.equal(late.length >= 12 * 3, true, `${late.length} of ${12 * 3} ran`);
    assert.ok(Math.max(...late) < 6_000, `late by ${Math.max(...late)} ms`);
    assert.deepEqual([...new Set(hostsOf(45, 100))], ['w3']);
    assert.equal((await registered('w0')).full, true);
    assert.equal((await registered('w3')).full, false);
    assert.deepEqual(rig.violations('P1'), []);
  });
});
