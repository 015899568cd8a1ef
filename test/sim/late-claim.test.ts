import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rig } from './rig.ts';

describe('a claim that is answered late, and with a no', () => {
  it('leaves nothing of what had been armed for it', async () => {
    const rig = new Rig();
    try {
      // More than one request holds, so that its gate is let go for those of the first.
      for (let n = 0; n < 250; n += 1)
        await rig.save({ name: `j${n}`, schedule: '30 * * * * *', command: 'sim 20-20 0' });
      const [home, deputy] = [rig.host(), rig.host()];
      let requests = 0;
      rig.agent(
        home,
        {
          async tamper(txn) {
            const claims = txn.then.length > 5 && rig.world.time > 28_000 && rig.world.time < 30_000;
            if (claims) requests += 1;
            // Longer than its deputy waits.
            if (claims && requests > 1)
              await new Promise<void>((resolve) => void rig.world.after(1_200, resolve));
            return txn;
          },
        },
        false,
        { capacity: 1_000 },
      );
      rig.agent(deputy, {}, false, { capacity: 1_000 });
      await rig.until(40);
      assert.ok(requests > 1);
      assert.equal(rig.stamps.length, 250);
      assert.deepEqual(rig.violations('P1', 'P6'), []);
      assert.equal(home.files.size, 0);
      assert.equal(deputy.files.size, 0);
    } finally {
      await rig.end();
    }
  });
});
