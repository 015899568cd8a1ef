import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JobStore } from '#core/cluster/job-record.ts';
import { deleteJob } from '#core/cluster/jobs.ts';
import type { Kv, Txn } from '#core/ports/kv.ts';
import { Rig } from './rig.ts';
import { broken, row } from './row.ts';
import { without } from './tampering.ts';

/** What ends a version of a job. */
const endings: Record<string, (rig: Rig, store: JobStore) => Promise<unknown>> = {
  edited: (rig, store) => rig.save({ schedule: '*/7 * * * * *' }, store),
  disabled: (rig, store) => rig.save({ enabled: false }, store),
  deleted: (_, store) => deleteJob(store, 'default/j', {}),
};

/** The same store, whose writes wait on their way until they may come through. */
function held(store: JobStore): { store: JobStore; comeThrough: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const kv: Kv = new Proxy(store.kv, {
    get(of, name) {
      if (name === 'txn')
        return (txn: Txn) => (txn.then[0]?.type === 'range' ? of.txn(txn) : promise.then(() => of.txn(txn)));
      const member: unknown = Reflect.get(of, name, of);
      return typeof member === 'function' ? member.bind(of) : member;
    },
  });
  return { store: { ...store, kv }, comeThrough: resolve };
}

describe('a version of a job that comes to its end', () => {
  for (const [how, act] of Object.entries(endings)) {
    row(`${how}: what is due and held back then has its record`, async (rig, remedy) => {
      await rig.save({ schedule: '*/4 * * * * *', command: 'sim 30000-30000 0', overlap: 'queue' });
      rig.agent(rig.host());
      // One runs since 0 s, and those after it wait.
      await rig.until(17);
      await act(
        rig,
        rig.api((txn) => (remedy ? txn : { ...txn, then: txn.then.slice(0, 1) })),
      );
      await rig.until(150);
      return broken(rig, 'P2');
    });

    row(`${how}: what is claimed in that moment is not said to be skipped`, async (rig, remedy) => {
      await rig.save({ command: 'sim 5000-5000 0' });
      await rig.until(11);
      const { cursors } = rig.layout;
      const { store, comeThrough } = held(
        rig.api((txn) => (remedy ? txn : without(txn, ({ key }) => !key.startsWith(cursors)))),
      );
      const acting = act(rig, store);
      // Late, and in time.
      rig.agent(rig.host());
      await rig.until(13);
      assert.equal(rig.starts(rig.run(10)), 1);
      comeThrough();
      await acting;
      await rig.until(150);
      return broken(rig, 'P1', 'P2');
    });
  }

  for (const [how, act] of Object.entries(endings))
    it(`${how}: what is left of a backlog that runs one after the other has one record, which counts it`, async () => {
      const rig = new Rig();
      await rig.save({ command: 'sim 3000-3000 0', catchUp: 'all' });
      await rig.until(65);
      rig.agent(rig.host());
      // From 10 s to 60 s all are to run; the second does.
      await rig.until(70);
      await act(rig, rig.api());
      await rig.until(200);
      const left = rig.history.records.get(rig.run(30));
      assert.deepEqual(
        [left?.state, left?.instant, left?.until, left?.count],
        [how === 'edited' ? 'skipped' : 'cancelled', rig.instant(30), rig.instant(60), 4],
      );
      assert.equal(broken(rig, 'P1', 'P2'), null);
      await rig.end();
    });

  it('leaves the next instant of its successor on time', async () => {
    for (const ahead of [900, 400, 250]) {
      const rig = new Rig();
      await rig.save({ schedule: '*/4 * * * * *', command: 'sim 30000-30000 0', overlap: 'queue' });
      rig.agent(rig.host());
      await rig.until(35 - ahead / 1_000);
      await rig.save({ schedule: '*/5 * * * * *', overlap: 'allow' });
      await rig.until(36);
      const [next] = rig.stamps.filter(({ run }) => run === rig.run(35));
      assert.ok((next?.goWall ?? Number.POSITIVE_INFINITY) - rig.instant(35) < 50, `${ahead} ms ahead`);
      await rig.end();
    }
  });
});
