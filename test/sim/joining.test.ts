import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deleteJob } from '#core/cluster/jobs.ts';
import { Rig } from './rig.ts';

/** So many jobs that start every second: arming the next instant begins before this one is over. */
async function saveJobs(rig: Rig, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 1)
    await rig.save({ name: `j${n}`, schedule: '* * * * * *', command: 'sim 20-20 0' });
}

/** Of the runs that start in these seconds, how many there are and how many of them stood armed. */
function seen(rig: Rig, fromS: number, toS: number): { started: number; armed: number } {
  const runs = rig.stamps.filter(({ start }) => start >= fromS * 1_000 && start < toS * 1_000);
  const armed = new Set(rig.told.map((event) => (event.type === 'run.armed' ? event.run : null)));
  return { started: runs.length, armed: runs.filter(({ run }) => armed.has(run)).length };
}

describe('who comes to an instant at which others stand armed already', () => {
  it('is armed beside them, though there is no second in which nobody is being armed', async () => {
    const rig = new Rig();
    try {
      await saveJobs(rig, 0, 10);
      rig.agent(rig.host(), {}, false, { capacity: 1_000 });
      await rig.until(10.1);
      await saveJobs(rig, 10, 60);
      await rig.until(25);
      assert.deepEqual(seen(rig, 15, 20), { started: 300, armed: 300 });
      assert.deepEqual(rig.crashes, []);
    } finally {
      await rig.end();
    }
  });

  it('is armed beside them where the claims before it took more than one request', async () => {
    const rig = new Rig();
    try {
      await saveJobs(rig, 0, 150);
      rig.agent(rig.host(), {}, false, { capacity: 1_000 });
      await rig.until(25);
      assert.deepEqual(seen(rig, 15, 20), { started: 750, armed: 750 });
      assert.deepEqual(rig.crashes, []);
    } finally {
      await rig.end();
    }
  });
});

describe('who leaves an instant while it waits, behind others, to be armed', () => {
  it('leaves no wrapper behind that nothing would ever wake', async () => {
    const rig = new Rig();
    try {
      for (let n = 0; n < 10; n += 1) await rig.save({ name: `j${n}` });
      const host = rig.host();
      host.armMs = 50;
      rig.agent(host, {}, true);
      await rig.until(19.1);
      const standing = new Set([...host.processes.keys()].map((run) => run.split('~')[1]));
      assert.ok(standing.size > 0 && standing.size < 10, 'it is in the middle of it');
      // All of them: where one stays, its release wakes the others.
      for (let n = 0; n < 10; n += 1) await deleteJob(rig.api(), `default/j${n}`, {});
      await rig.until(30);
      assert.deepEqual([[...host.processes.keys()], rig.crashes], [[], []]);
    } finally {
      await rig.end();
    }
  });
});
