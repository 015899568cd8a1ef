import assert from 'node:assert/strict';
import { it } from 'node:test';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { authenticator, createToken, takeFirstToken } from '#functions/auth.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

it('the first token is taken over where the store has none at all, and never beside another', async () => {
  const clock = new VirtualClock();
  const kv = memoryKv({ clock });
  const deps = { kv, layout: layoutOf(), clock };
  const { caller } = authenticator(deps);
  const text = (id: string) => `cf_${id}_${'s'.repeat(43)}`;
  await takeFirstToken(deps, text('firstfirst01'));
  await takeFirstToken(deps, text('firstfirst01'));
  assert.deepEqual(await caller(`Bearer ${text('firstfirst01')}`), {
    name: 'first',
    role: 'admin',
    groups: null,
  });
  await createToken(
    { ...deps, ids: systemIds() },
    { name: 'mine', role: 'admin', groups: null, by: 'first' },
  );
  await kv.txn({ compare: [], then: [{ type: 'delete', key: deps.layout.token('firstfirst01') }] });
  await takeFirstToken(deps, text('secondsecond'));
  await assert.rejects(caller(`Bearer ${text('secondsecond')}`), /bearer token/);
  await kv.close();
});
