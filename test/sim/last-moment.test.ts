import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deleteJob, pauseJob, resumeJob, skipInstant } from '#core/cluster/jobs.ts';
import { Rig } from './rig.ts';
import { epoch } from './world.ts';

const job = 'default/j';

/** What people do to a job just before its instant at 10 s, and what its run is then. */
const changes: Record<
  string,
  { act: (rig: Rig) => Promise<unknown>; undo?: (rig: Rig) => Promise<unknown> }
> = {
  'left out by hand': { act: (rig) => skipInstant(rig.api(), job, epoch + 10_000) },
  paused: {
    act: (rig) => pauseJob(rig.api(), job, { by: 'test', reason: '', until: null }),
    undo: (rig) => resumeJob(rig.api(), job),
  },
  disabled: { act: (rig) => rig.save({ enabled: false }), undo: (rig) => rig.save() },
  deleted: { act: (rig) => deleteJob(rig.api(), job, {}), undo: (rig) => rig.save() },
};

describe('what is said about a job before its instant holds, however late it is said', () => {
  for (const [reason, { act, undo }] of Object.entries(changes))
    for (const ahead of [900, 250, 201, 199, 100, 20, 2]) {
      it(`${reason} ${ahead} ms ahead: it does not start`, async () => {
        const rig = new Rig();
        try {
          await rig.save();
          rig.agent(rig.host());
          await rig.until(10 - ahead / 1_000);
          await act(rig);
          await rig.until(25);
          assert.equal(rig.starts(rig.run(10)), 0);
          // Decided before its claim has arrived, a deleted or disabled job's instant is nobody's.
          const record = rig.history.records.get(rig.run(10));
          if (record !== undefined) assert.deepEqual([record.state, record.reason], ['skipped', reason]);
          else assert.ok(reason !== 'left out by hand' && ahead >= 199);
          if (undo === undefined) assert.equal(rig.starts(rig.run(20)), 1, 'only the one is left out');
        } finally {
          await rig.end();
        }
      });

      if (undo !== undefined && ahead > 20)
        it(`${reason} ${ahead} ms ahead and back again before it: it starts once`, async () => {
          const rig = new Rig();
          try {
            await rig.save();
            rig.agent(rig.host());
            await rig.until(10 - ahead / 1_000);
            await act(rig);
            await rig.until(9.99);
            await undo(rig);
            await rig.until(25);
            assert.equal(rig.starts(rig.run(10)), 1);
            assert.equal(rig.starts(rig.run(20)), 1);
          } finally {
            await rig.end();
          }
        });
    }
});
