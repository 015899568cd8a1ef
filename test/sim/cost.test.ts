import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rig } from './rig.ts';
import { costOf } from './store-cost.ts';

const fromS = 20;
const toS = 40;

describe('what a run costs', () => {
  for (const agents of [1, 3, 10])
    for (const jobs of [1, 100])
      it(`${agents} agents, ${jobs} runs a second`, async (t) => {
        const rig = new Rig();
        const cost = costOf(rig.store, rig.layout.cursors);
        for (let i = 0; i < jobs; i += 1)
          await rig.save({ name: `j${i}`, schedule: '* * * * * *', command: 'sim 20-20 0' });
        for (let i = 0; i < agents; i += 1) rig.agent(rig.host(), {}, true, { capacity: 1_000 });
        await rig.until(fromS);
        cost.reset();
        await rig.until(toS);
        const { commits, writes, reads, told } = cost;
        await rig.until(toS + 5);
        const runs = rig.stamps.filter(({ start }) => start >= fromS * 1_000 && start < toS * 1_000).length;
        assert.deepEqual(rig.crashes, []);
        assert.equal(runs, jobs * (toS - fromS), 'each instant ran');
        await rig.end();
        const shown = Object.entries({ commits, writes, reads, told });
        t.diagnostic(`per run: ${shown.map(([name, count]) => `${name} ${(count / runs).toFixed(3)}`)}`);
        assert.ok(commits / runs < (jobs === 1 ? 2.2 : 0.5), `${commits / runs} commits a run`);
        // A home claims all of an instant at once, and gathers what ends one by one.
        const each = (commits * jobs) / runs / Math.min(agents, jobs);
        assert.ok(each <= 4, `${each} commits an instant for each home`);
        // Claim: cursor and running; finish: running gone.
        assert.ok(writes / runs <= 3, `${writes / runs} keys written a run`);
        assert.ok(reads / runs <= 2, `${reads / runs} reads a run`);
        assert.equal(told, 0, 'nobody is told of a run');
      });
});

describe('what a coming or going worker costs', () => {
  it('only lanes that change hands are looked at', async (t) => {
    const rig = new Rig();
    const jobs = 200;
    const cost = costOf(rig.store, rig.layout.cursors);
    for (let i = 0; i < jobs; i += 1)
      await rig.save({ name: `j${i}`, schedule: '0 0 1 1 *', command: 'sim 20-20 0' });
    for (let i = 0; i < 8; i += 1) rig.agent(rig.host());
    await rig.until(15);
    cost.reset();
    const late = rig.agent(rig.host());
    await rig.until(20);
    const coming = cost.looks;
    cost.reset();
    late.life.kill();
    await rig.until(40);
    t.diagnostic(`${coming} cursors read when the ninth worker came, ${cost.looks} when it died`);
    // It is among the first three for a third of them.
    assert.ok(coming > jobs / 10 && coming < jobs, `${coming} when it came`);
    assert.ok(cost.looks > jobs / 10 && cost.looks < jobs, `${cost.looks} when it died`);
    await rig.end();
  });
});
