import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Refusal } from '#core/model/refusal.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { tempFolder } from './temp-folder.ts';

describe('Stores by URL', () => {
  it('open what the URL names', async () => {
    const { dir, clean } = tempFolder();
    const clock = new VirtualClock();
    for (const url of ['memory:', `sqlite:${join(dir, 'kv.db')}`]) {
      const kv = await openKv(url, clock);
      assert.equal(
        (await kv.txn({ compare: [], then: [{ type: 'put', key: 'k', value: 'v' }] })).revision,
        '2',
      );
      await kv.close();
    }
    const history = await openHistory(`sqlite:${join(dir, 'history.db')}`, clock);
    assert.deepEqual(await history.runs({ limit: 1 }), { items: [], next: null });
    await history.close();
    clean();
  });
  it('refuse any other URL, and say which one would do', async () => {
    const clock = new VirtualClock();
    for (const url of ['', 'sqlite:', 'postgres://x', 'store.db', ':memory:'])
      for (const open of [openKv, openHistory])
        await assert.rejects(
          open(url, clock),
          (error) =>
            error instanceof Refusal &&
            error.code === 'store_url_invalid' &&
            error.message.includes('sqlite:FILE'),
        );
  });
  it('keep the file of one store from being taken for the other', async () => {
    const { file, clean } = tempFolder();
    const clock = new VirtualClock();
    await (await openKv(`sqlite:${file}`, clock)).close();
    await assert.rejects(
      openHistory(`sqlite:${file}`, clock),
      (error) => error instanceof Refusal && error.code === 'store_foreign',
    );
    clean();
  });
});
