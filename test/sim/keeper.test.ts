import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getJob } from '#core/cluster/jobs.ts';
import { orderRun } from '#core/cluster/orders.ts';
import { setDrain } from '#core/cluster/workers.ts';
import { KvError, type Txn } from '#core/ports/kv.ts';
import { Rig } from './rig.ts';
import type { Mistakes } from './sim-agent.ts';

/** The first transaction that `is` knows is applied, and its answer lost. */
function losesAnswer(is: (text: string) => boolean): { mistakes: Mistakes; lost(): boolean } {
  let lost = false;
  return {
    lost: () => lost,
    mistakes: {
      async tamper(txn: Txn, store) {
        if (lost || !is(JSON.stringify(txn))) return txn;
        lost = true;
        await store.txn(txn);
        throw new KvError('unknown', 'no answer in time');
      },
    },
  };
}

/** A fleet of four whose worker with the run of the 60th second dies in the middle of it, and what a keeper's lost answer leaves of that. */
async function dies(job: Parameters<Rig['save']>[0], is: (text: string) => boolean, diesAt: number) {
  const rig = new Rig();
  await rig.save({ schedule: '0 * * * * *', ...job });
  const hosts = [rig.host(), rig.host(), rig.host(), rig.host()];
  const fault = losesAnswer(is);
  const agents = hosts.map((host) => rig.agent(host, fault.mistakes));
  await rig.until(diesAt);
  const owner = rig.stamps.find(({ run }) => run === rig.run(60))?.host;
  agents[hosts.findIndex(({ id }) => id === owner)]?.life.kill();
  await rig.until(110);
  assert.ok(fault.lost());
  assert.deepEqual(rig.crashes, []);
  return rig;
}

describe('an attempt that a keeper has taken from a dead worker starts, though the answer to that was lost', () => {
  it('with the closing of the one before', async () => {
    const job = { command: 'sim 60000-60000 0', guarantee: 'at-least-once' } as const;
    const rig = await dies(job, (text) => text.includes('is gone') && text.includes('~2'), 63);
    assert.equal(rig.starts(rig.run(60, 2)), 1);
    await rig.end();
  });

  it('as it waited there', async () => {
    const job = { command: 'sim 100-100 1', retry: { attempts: 1, backoff: '40s' } } as const;
    const taken = (text: string) => /"key":"[^"]*running[^"]*~2","value"/.test(text);
    let puts = 0;
    // The first puts it there, as the run before ends; the second is the keeper's.
    const rig = await dies(job, (text) => taken(text) && ++puts === 2, 63);
    assert.equal(rig.starts(rig.run(60, 2)), 1);
    await rig.end();
  });
});

describe('an attempt that waits goes on elsewhere', () => {
  for (const at of [0, 1, 2])
    for (const to of [0, 1, 2].filter((other) => other !== at))
      it(`when its job is aimed from w${at} to w${to}, whoever keeps the books`, async () => {
        const rig = new Rig();
        const retry = { attempts: 1, backoff: '20s' } as const;
        const job = { schedule: null, command: 'sim 100-100 1', retry, overlap: 'allow' } as const;
        await rig.save({ ...job, target: { workers: [`w${at}`] } });
        for (const host of [rig.host(), rig.host(), rig.host()]) rig.agent(host);
        await rig.until(3);
        const saved = await getJob(rig.api(), 'default/j');
        assert.ok(saved !== null);
        await orderRun(rig.api(), saved, { id: 'o1', env: {}, worker: null, by: 'test' });
        await rig.until(10);
        await rig.save({ ...job, target: { workers: [`w${to}`] } });
        await rig.until(140);
        const hosts = rig.stamps.filter(({ run }) => run === 'default~j~o1~2').map(({ host }) => host);
        assert.deepEqual([hosts, rig.crashes], [[`w${to}`], []]);
        await rig.end();
      });

  // One of the three keeps the books of all.
  for (const at of [0, 1, 2])
    for (const how of ['stopped', 'drained'] as const)
      it(`when its worker w${at} is ${how}`, async () => {
        const rig = new Rig();
        await rig.save({ schedule: null, command: 'sim 100-100 1', retry: { attempts: 1, backoff: '2m' } });
        // What lives on keeps the registration of a stopped worker.
        await rig.save({ schedule: null, name: 'long', command: 'sim 900000-900000 0' });
        const agents = [rig.host(), rig.host(), rig.host()].map((host) => rig.agent(host));
        await rig.until(3);
        const worker = `w${at}`;
        for (const name of ['j', 'long']) {
          const job = await getJob(rig.api(), `default/${name}`);
          assert.ok(job !== null);
          await orderRun(rig.api(), job, { id: 'o1', env: {}, worker, by: 'test' });
        }
        await rig.until(10);
        assert.equal(rig.state('default~j~o1~1'), 'failed');
        if (how === 'stopped') void agents[at]?.stop();
        else await setDrain(rig.store, rig.layout, worker, { by: 'test', at: rig.world.utc });
        await rig.until(140);
        const hosts = rig.stamps.filter(({ run }) => run === 'default~j~o1~2').map(({ host }) => host);
        assert.equal(hosts.length, 1);
        assert.notEqual(hosts[0], worker);
        await rig.end();
      });
});
