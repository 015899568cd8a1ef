import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rig } from './rig.ts';

describe('what the store owes to the ledger', () => {
  it('is handed on at the next start of who decided it, not only by the next sweep', async () => {
    const rig = new Rig();
    try {
      await rig.save();
      const host = rig.host();
      rig.history.down = true;
      const first = rig.agent(host);
      await rig.until(11);
      first.life.kill();
      host.spool = [];
      rig.history.down = false;
      await rig.until(12);
      rig.agent(host);
      await rig.until(16);
      assert.equal(rig.state(rig.run(10)), 'succeeded');
    } finally {
      await rig.end();
    }
  });
});

describe('what the ledger says of instants that did not run', () => {
  it('nothing is covered by a run that was skipped because the last one lives', async () => {
    const rig = new Rig();
    try {
      await rig.save({ command: 'sim 50000-50000 0' });
      const host = rig.host();
      const first = rig.agent(host);
      await rig.until(12);
      first.life.kill();
      await rig.until(45);
      rig.agent(host);
      await rig.until(58);
      const records = [...rig.history.records.values()].filter(({ state }) => state !== 'running');
      const covered = records.filter(({ reason }) => reason.startsWith('covered by'));
      assert.deepEqual(covered, []);
      assert.equal(rig.state(rig.run(40)), 'skipped');
      assert.deepEqual([rig.state(rig.run(20)), rig.history.records.get(rig.run(20))?.count], ['missed', 2]);
    } finally {
      await rig.end();
    }
  });
});
