import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { getJob } from '#core/cluster/jobs.ts';
import { orderRun } from '#core/cluster/orders.ts';
import { Rig } from './rig.ts';
import { epoch } from './world.ts';

/** LDAP and the like: of one job's user nothing is heard for long, or nothing at all. */
describe("a host whose name service is slow to say who a job's user is", () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });
  afterEach(async () => {
    assert.deepEqual(rig.crashes, []);
    await rig.end();
  });

  async function begin(lookUpMs: number): Promise<void> {
    const often = { schedule: '* * * * * *', command: 'sim 20-20 0' };
    for (let n = 0; n < 20; n += 1) await rig.save({ name: `own${n}`, ...often });
    await rig.save({ name: 'j', ...often, schedule: '*/10 * * * * *', user: 'other' });
    const host = rig.host();
    host.lookUpMs = lookUpMs;
    rig.agent(host, {}, true);
  }

  /** How late the runs of the jobs that need nobody's word were, ms. */
  function ownLate(fromS: number, toS: number): number[] {
    return rig.stamps
      .filter(({ plan, start }) => plan.job.user === null && start >= fromS * 1_000 && start < toS * 1_000)
      .map(({ plan, start }) => epoch + start - (plan.instant ?? 0));
  }

  for (const [what, lookUpMs] of [
    ['answers after seconds', 3_000],
    ['never answers', Number.POSITIVE_INFINITY],
  ] as const)
    it(`starts all others in time while it ${what}`, async () => {
      await begin(lookUpMs);
      await rig.until(40);
      const late = ownLate(5, 40);
      assert.equal(late.length, 20 * 35);
      assert.ok(Math.max(...late) < 100, `${Math.max(...late)} ms`);
      assert.deepEqual(rig.violations('P1', 'P2', 'P4'), []);
    });

  it('starts the run itself as soon as the answer is there, and later ones at their instant', async () => {
    await begin(3_000);
    await rig.until(35);
    const late = [10, 20, 30].map((at) => {
      const [stamp] = rig.stamps.filter(({ run }) => run === rig.run(at));
      return stamp === undefined ? Number.POSITIVE_INFINITY : stamp.start - at * 1_000;
    });
    assert.ok(Math.max(...late.slice(1)) < 100, late.join());
    // Asked when it was to be armed, a second ahead.
    assert.ok(late[0] !== undefined && late[0] < 3_100, late.join());
  });

  it('ends the run itself where there is none, and says why', async () => {
    await begin(Number.POSITIVE_INFINITY);
    await rig.until(20);
    assert.equal(rig.state(rig.run(10)), 'failed');
    assert.match(rig.history.records.get(rig.run(10))?.reason ?? '', /did not answer/);
  });

  it('starts what is ordered meanwhile, however many wait for the answer', async () => {
    await rig.save({ name: 'waits', schedule: '@every 1h', user: 'other', overlap: 'allow' });
    await rig.save({ name: 'free', schedule: '@every 1h' });
    const host = rig.host();
    host.lookUpMs = Number.POSITIVE_INFINITY;
    rig.agent(host, {}, true);
    await rig.until(5);
    const order = async (name: string, id: string) => {
      const job = await getJob(rig.api(), `default/${name}`);
      assert.ok(job !== null);
      await orderRun(rig.api(), job, { id, env: {}, worker: null, by: 'test' });
    };
    for (let n = 0; n < 20; n += 1) await order('waits', `o${n}`);
    await rig.until(7);
    await order('free', 'now');
    await rig.until(8);
    assert.deepEqual(
      rig.stamps.map(({ run }) => run),
      ['default~free~now~1'],
    );
  });
});
