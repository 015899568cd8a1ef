import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { rememberedIn } from '#agent/remembered.ts';
import { eventBus } from '#core/ports/event-bus.ts';

const events = eventBus();
events.on(({ type }) => assert.fail(type));

describe('what an agent remembers of itself', () => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-remembered-'));
  after(() => rmSync(dir, { recursive: true }));
  const known = { leases: ['7', '8'], since: 5, labels: { zone: 'a' }, incarnations: ['3', '9'] };

  it('is there for the next life, and after a start of the host all but under what it has claimed', async () => {
    assert.equal(await rememberedIn(dir, 'first boot', events).load(), null);
    assert.equal(await rememberedIn(dir, 'first boot', events).save(known), true);
    assert.deepEqual(await rememberedIn(dir, 'first boot', events).load(), known);
    assert.deepEqual(await rememberedIn(dir, 'second boot', events).load(), { ...known, incarnations: [] });
  });

  it('is read from the file of an earlier version, too', async () => {
    const { incarnations: _, ...before } = known;
    writeFileSync(join(dir, 'agent.json'), JSON.stringify(before));
    assert.deepEqual(await rememberedIn(dir, '', events).load(), { ...before, incarnations: [] });
  });
});
