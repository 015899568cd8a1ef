import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { deleteJob } from '#core/cluster/jobs.ts';
import { Rig } from './rig.ts';
import { epoch } from './world.ts';

/** What the host arms a second. */
const armMs = 20;
const capable = 1_000 / armMs;
const seconds = 30;
/** What it can do with ease. */
const few = capable / 5;

describe('an agent that is offered more runs than it can start', () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });
  afterEach(async () => {
    assert.deepEqual(rig.crashes, []);
    await rig.end();
  });

  /** Jobs of every second on one host that has its hands full; by job, when its runs started in the `seconds` from `fromS` on. */
  async function offer(jobs: number, fromS = 10): Promise<Map<string, number[]>> {
    for (let n = 0; n < jobs; n += 1)
      await rig.save({ name: `j${n}`, schedule: '* * * * * *', command: 'sim 20-20 0', overlap: 'allow' });
    const host = rig.host();
    host.armMs = armMs;
    rig.agent(host, {}, false, { capacity: 1_000 });
    await rig.until(fromS + seconds);
    return startsIn(fromS, fromS + seconds);
  }

  function startsIn(fromS: number, toS: number): Map<string, number[]> {
    const starts = new Map<string, number[]>();
    for (const { plan, start } of rig.stamps)
      if (start >= fromS * 1_000 && start < toS * 1_000)
        starts.set(plan.job.name, [...(starts.get(plan.job.name) ?? []), start]);
    return starts;
  }

  const sum = (starts: Map<string, number[]>) =>
    [...starts.values()].reduce((all, { length }) => all + length, 0);

  for (const times of [1.2, 2, 4, 10])
    it(`starts nearly as many as it can where ${times} times as many are due, each job in its turn`, async () => {
      const jobs = times * capable;
      const starts = await offer(jobs);
      assert.ok(sum(starts) >= 0.8 * capable * seconds, `${sum(starts)} starts`);
      const counts = [...starts.values()].map(({ length }) => length);
      assert.equal(counts.length, jobs, 'none goes without');
      assert.ok(
        Math.max(...counts) <= Math.min(...counts) + 2,
        `${Math.min(...counts)} to ${Math.max(...counts)}`,
      );
      assert.deepEqual(rig.violations('P1', 'P2', 'P4'), []);
    });

  it('says of what it could not start by which later run it is covered', async () => {
    await offer(4 * capable);
    const missed = [...rig.history.records.values()].filter(({ state }) => state === 'missed');
    assert.ok(missed.length > 0);
    for (const { reason } of missed) assert.match(reason, /^covered by the run of /);
  });

  it('is in time again within a few seconds of when there is less to do', async () => {
    await offer(4 * capable);
    for (let n = few; n < 4 * capable; n += 1) await deleteJob(rig.api(), `default/j${n}`, {});
    await rig.until(60);
    const starts = startsIn(45, 60);
    assert.equal(sum(starts), few * 15);
    for (const times of starts.values()) for (const at of times) assert.ok(at % 1_000 < 100, String(at));
  });

  it('leaves to its deputy, who looks a quarter of a second later, what it can not start', async () => {
    for (let n = 0; n < capable; n += 1)
      await rig.save({ name: `j${n}`, schedule: '* * * * * *', command: 'sim 20-20 0', overlap: 'allow' });
    const [busy, idle] = [rig.host(), rig.host()];
    busy.armMs = armMs * 10;
    for (const host of [busy, idle]) rig.agent(host, {}, false, { capacity: 1_000 });
    await rig.until(10 + seconds);
    const starts = startsIn(10, 10 + seconds);
    assert.ok(sum(starts) >= 0.95 * capable * seconds, `${sum(starts)} starts`);
    for (const { plan, start } of rig.stamps)
      if (start >= 10_000) assert.ok(epoch + start - (plan.instant ?? 0) < 3_000, `${plan.run} at ${start}`);
    assert.deepEqual(rig.violations('P1', 'P2', 'P4'), []);
  });
});
