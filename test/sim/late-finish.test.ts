import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Txn } from '#core/ports/kv.ts';
import { Rig } from './rig.ts';

describe('a finish that arrives when the next life of its agent has read what it holds', () => {
  it('leaves no attempt that nobody makes', async () => {
    const rig = new Rig();
    await rig.save({ command: 'sim 100-100 1', retry: { attempts: 1, backoff: '1s' } });
    const host = rig.host();
    let late: Txn | null = null;
    const { life } = rig.agent(host, {
      async tamper(txn: Txn) {
        if (!JSON.stringify(txn).includes('attempt\\":2')) return txn;
        late ??= txn;
        return { compare: [], then: [] };
      },
    });
    while (late === null) await rig.world.advance(1);
    life.kill();
    let arrived = false;
    rig.agent(host, {
      async tamper(txn: Txn, store) {
        if (!arrived && late !== null && JSON.stringify(txn).includes('/running/')) {
          arrived = true;
          assert.ok((await store.txn(late)).succeeded);
        }
        return txn;
      },
    });
    // Before the next instant, whose claim would come upon it.
    await rig.until(15);
    assert.ok(arrived);
    assert.equal(rig.starts(rig.run(10, 2)), 1);
    assert.deepEqual(rig.violations('P1', 'P11'), []);
    await rig.end();
  });
});
