import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { encodeJob } from '#core/cluster/records.ts';
import { Job } from '#core/model/job.ts';
import { Rig } from './rig.ts';

/** What stands in the prefix and is not ours, or damaged: under which key, and what it holds. */
const junk: readonly [key: string, value: string][] = [
  ['jobs/default/broken', 'not json'],
  ['jobs/default/old', '{"job":{"name":"old","schedule":"61 * * * *","command":"x"}}'],
  ['jobs/stray', '{}'],
  ['cursors/default/hurt/~', '{"instant":"soon"}'],
  ['cursors/stray', 'x'],
  ['running/default/j/~/nonsense', '[]'],
  ['running/stray', 'x'],
  ['orders/default/j/bad', 'null'],
  ['orders/stray', '{}'],
  ['kills/nobody', '7'],
  ['workers/ghost', '{"id":"ghost"}'],
  ['drains/ghost', ''],
  ['owed/what', '{"run":{}}'],
  ['tokens/bad', 'x'],
  ['elsewhere/key', 'x'],
];

const running = (worker: string, more: object = {}) =>
  JSON.stringify({
    ...{ worker, incarnation: '1', state: 'claimed', instant: 0, attempt: 1, losses: 0, covers: null },
    ...{ notBefore: 0, at: 0, trigger: 'schedule', order: null, by: null, env: {}, ...more },
  });
const order = (more: object = {}) =>
  JSON.stringify({
    ...{ kind: 'run', from: null, to: null, next: null, env: {}, worker: null, expiresAt: null },
    ...{ taken: null, done: false, by: 'x', at: 0, ...more },
  });
const kill = JSON.stringify({
  ...{ by: 'x', at: 1, expiresAt: 2, signalledAt: null, confirmedAt: null, signal: null, graceMs: null },
});
const job = encodeJob({
  ...{ job: v.parse(Job, { name: 'elsewhere', schedule: '* * * * * *', command: 'sim 10-20 0' }) },
  ...{ revision: '1', floor: 0, floorWhy: 'created', paused: null, skips: [], createdAt: 0, updatedAt: 0 },
  ...{ updatedBy: 'x', cronExpr: null },
});
const worker = JSON.stringify({
  ...{
    id: 'elsewhere',
    host: 'h',
    addresses: [],
    labels: {},
    version: '',
    state: 'live',
    since: 0,
    capacity: 9,
  },
  ...{ tzdata: process.versions.tz, switchesUser: false, clockSkewMs: 0 },
});

/** What is ours by its value, under a key that is not its own: moved by hand, or written by another program. */
const misplaced: readonly [key: string, value: string][] = [
  ['jobs/default/copy', job],
  ['jobs/default/elsewhere/deeper', job],
  ['jobs/!/ü', job],
  ['running/default/good/w1/nonsense', running('w0')],
  ['running/default/hurt/~/nonsense', running('gone')],
  ['running/default/hurt/~/x~y~z~q', running('gone', { state: 'waiting' })],
  ['running/default/hurt/~/default~good~20261122T163500.000Z~1', running('w0')],
  ['running/default/hurt/~/default~hurt~20261122T163500.000Z~2', running('w0')],
  ['orders/!!/ü/x', order()],
  ['orders/default/good/a/b', order()],
  ['orders/default/good/a~b~c', order()],
  ['orders/default/good/with space', order()],
  ['orders/default/good/nothing', order({ kind: 'catch-up' })],
  ['kills/nonsense', kill],
  ['workers/copy', worker],
  ['cursors/default/hurt/~', JSON.stringify({ instant: 9e15, from: 'x', why: 'x', run: null })],
  [
    'owed/nonsense',
    JSON.stringify({ run: { id: 'nonsense', group: 'a', name: 'b', state: 'lost' }, at: 1, by: 'w0' }),
  ],
  [
    'owed/default~good~20261122T163500.000Z~1',
    JSON.stringify({
      ...{ run: { id: 'default~good~20261122T163500.000Z~1', group: 'default', name: 'good', state: 'odd' } },
      ...{ at: 1, by: 'w0' },
    }),
  ],
];

describe('keys that are not ours', () => {
  const cases = [false, true].flatMap((late) => [
    { late, what: 'hold nothing of ours', keys: junk },
    { late, what: 'hold what belongs elsewhere', keys: misplaced },
  ]);
  for (const { late, what, keys } of cases)
    it(`and ${what} are named and passed over, ${late ? 'that come later' : 'that were there before'}, while all else goes on`, async () => {
      const rig = new Rig();
      await rig.save({ name: 'good', schedule: '*/5 * * * * *', command: 'sim 10-20 0' });
      await rig.save({ name: 'hurt', schedule: '*/5 * * * * *', command: 'sim 10-20 0' });
      const put = async () => {
        for (const [key, value] of keys)
          await rig.store.txn({ compare: [], then: [{ type: 'put', key: rig.layout.prefix + key, value }] });
      };
      if (!late) await put();
      for (let i = 0; i < 2; i += 1) rig.agent(rig.host(), {}, true);
      await rig.until(11);
      if (late) await put();
      // Past a sweep of the keeper.
      await rig.until(150);
      assert.deepEqual(rig.crashes, []);
      assert.deepEqual(
        rig.told.filter(({ type }) => type === 'agent.fault'),
        [],
      );
      const named = new Set(rig.told.flatMap((event) => (event.type === 'key.invalid' ? [event.key] : [])));
      const silent = keys
        .map(([key]) => rig.layout.prefix + key)
        // Tokens are the servers', what is no kind of ours is nobody's; and a cursor is looked at by who needs it.
        .filter((key) => !/\/(tokens|elsewhere)\/|cursors\/stray/.test(key) && !named.has(key));
      assert.deepEqual(silent, []);
      const good = rig.stamps.filter(({ run, start }) => run.includes('~good~') && start > 15_000);
      assert.equal(good.length, (150 - 15) / 5);
      // Nobody knows what of it has run already: until its cursor is mended or gone, nothing does.
      const hurt = rig.stamps.filter(
        ({ run, start }) => run.includes('~hurt~') && start > (late ? 15_000 : 0),
      );
      assert.deepEqual(hurt, []);
      await rig.end();
    });
});
