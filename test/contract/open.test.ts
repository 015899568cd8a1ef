import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Refusal } from '#core/model/refusal.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { tempFolder } from './temp-folder.ts';

const ids = systemIds();

describe('Stores by URL', () => {
  it('open what the URL names', async () => {
    const { dir, clean } = tempFolder();
    const clock = new VirtualClock();
    for (const url of ['memory:', `sqlite:${join(dir, 'kv.db')}`]) {
      const kv = await openKv(url, clock, ids);
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
          open(url, clock, ids),
          (error) =>
            error instanceof Refusal &&
            error.code === 'store_url_invalid' &&
            error.message.includes('sqlite:FILE'),
        );
  });
  it('tell nobody the password of a URL that will not do', async () => {
    for (const url of [
      'mongodb://ann:secret@',
      'mongodb://ann:secret@host:port/x',
      'mongodb://ann:secret@h/x?w=0&b=1',
    ])
      await assert.rejects(openHistory(url, new VirtualClock()), (error) => {
        assert.ok(error instanceof Refusal && error.code === 'store_url_invalid', `${error}`);
        assert.doesNotMatch(JSON.stringify([error.message, error.errors]), /secret/);
        assert.match(error.message, /mongodb:\/\//);
        return true;
      });
  });
  it('keep the file of one store from being taken for the other', async () => {
    const { file, clean } = tempFolder();
    const clock = new VirtualClock();
    await (await openKv(`sqlite:${file}`, clock, ids)).close();
    await assert.rejects(
      openHistory(`sqlite:${file}`, clock),
      (error) => error instanceof Refusal && error.code === 'store_foreign',
    );
    clean();
  });
  it('refuse an URL of etcd that says what it should not, all of it at once, without its password', async () => {
    const clock = new VirtualClock();
    const { dir, clean } = tempFolder();
    const [secret, ca] = [join(dir, 'secret'), join(dir, 'none.pem')];
    writeFileSync(secret, 'hunter2\n');
    const cases: [url: string, ...said: RegExp[]][] = [
      ['etcd://', /"" is no HOST/],
      ['etcd:h:1', /expected etcd:\/\/HOST:PORT/],
      ['etcd://a b:2379,c:99999', /"a b:2379" is no HOST/, /"c:99999" is no HOST/],
      [
        `etcd://h?colour=red&ca=${secret}`,
        /colour is not known; expected one of ca, cert/,
        /ca, cert and key belong to etcds/,
        /ca \(.*\) holds no certificate/,
      ],
      [
        `etcds://h?ca=${ca}&cert=${secret}`,
        /ca: .*none\.pem/,
        /cert and key come together/,
        /cert \(.*\) holds no certificate/,
      ],
      ['etcd://h?user=u', /user and password-file come together/],
      [`etcd://u:hunter2@h?user=u&password-file=${secret}`, /the user is there twice/, /\*\*\*@h/],
      ['etcd://u%:hunter2@h', /% is written %25/],
      ['etcd://hunter2@h', /expected NAME:PASSWORD/],
      [`etcd://h?user=u&password-file=${ca}`, /password-file: .*none\.pem/],
    ];
    for (const [url, ...said] of cases)
      await assert.rejects(openKv(url, clock, ids), (error) => {
        assert.ok(error instanceof Refusal, String(error));
        assert.equal(error.code, 'store_url_invalid');
        for (const text of said) assert.match(error.message, text);
        assert.equal(error.errors.length, said.filter(({ source }) => !source.includes('@h')).length, url);
        assert.doesNotMatch(JSON.stringify([error.message, error.errors]), /hunter2/);
        return true;
      });
    clean();
  });
});
