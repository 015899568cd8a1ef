import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as v from 'valibot';
import { createRuns } from '#agent/runs.ts';
import type { Batcher } from '#core/cluster/batch.ts';
import { layout } from '#core/cluster/keys.ts';
import { Job } from '#core/model/job.ts';
import { systemClock } from '#core/ports/system-clock.ts';

it('a stop waits for no end whose kill ladder it has left as it stands', async () => {
  const ladder = Promise.withResolvers<never>();
  const asked = Promise.withResolvers<void>();
  const finishes: Batcher = {
    submit: async () => ({ outcome: 'refused', doubt: false }),
    idle: async () => {},
  };
  const runs = createRuns(
    {
      ...{ clock: systemClock(), layout: layout(), guard() {}, report() {} },
      ledger: {
        async record() {},
        output() {},
        acked: async () => true,
        hasRoom: () => true,
        waiting: () => 0,
        emptyAt: () => null,
      },
      runner: {
        async kill() {
          asked.resolve();
          return await ladder.promise;
        },
      },
      events: { emit() {} },
      settings: { id: 'w1' },
    } as unknown as Parameters<typeof createRuns>[0],
    finishes,
    { freed() {}, waits() {} },
  );
  const one = runs.add({
    ...{ run: 'default~a~o1~1', job: 'default/a', lane: '~', mod: '5', fence: '5' },
    spec: v.parse(Job, { name: 'a', command: 'true' }),
    running: {
      ...{
        worker: 'w1',
        incarnation: '3',
        state: 'claimed',
        instant: null,
        attempt: 1,
        losses: 0,
        covers: null,
      },
      ...{ notBefore: 1, at: 1, trigger: 'manual', order: 'o1', by: 'me', env: {} },
    },
  });
  runs.started(one, 1);
  const kill = {
    by: 'me',
    at: 1,
    expiresAt: 9,
    signalledAt: null,
    confirmedAt: null,
    signal: null,
    graceMs: null,
  };
  runs.kill(one, kill);
  await asked.promise;
  const end = { how: 'exited', reason: '', startedAt: 1, endedAt: 2, exitCode: 0, signal: null } as const;
  void runs.ended(one, { ...end, bytes: 0, droppedBytes: 0, tail: '' });
  let settled = false;
  void runs.settled().then(() => {
    settled = true;
  });
  await new Promise(setImmediate);
  assert.ok(settled);
  assert.equal(runs.live.size, 1, 'its end is the next start to tell');
});
