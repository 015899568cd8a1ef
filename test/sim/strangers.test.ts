import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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

describe('keys that are not ours', () => {
  for (const late of [false, true])
    it(`are named and passed over, ${late ? 'that come later' : 'that were there before'}, while all else goes on`, async () => {
      const rig = new Rig();
      await rig.save({ name: 'good', schedule: '*/5 * * * * *', command: 'sim 10-20 0' });
      await rig.save({ name: 'hurt', schedule: '*/5 * * * * *', command: 'sim 10-20 0' });
      const put = async () => {
        for (const [key, value] of junk)
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
      const silent = junk
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
