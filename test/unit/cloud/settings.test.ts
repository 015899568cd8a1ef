import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { forOidc, oidcOf } from '#core/cluster/oidc-settings.ts';
import { Refusal } from '#core/model/refusal.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event } from '#core/ports/events.ts';
import { type CloudSettings, readCloudSettings } from '#functions/cloud/settings.ts';
import { settingsOfNow } from '#functions/cloud/settings-of-now.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const path = '/cronfleet/test';
const good = { kv: 'etcd://10.0.0.1:2379', history: 'mongodb+srv://u:hush@x.mongodb.net/cron' };

describe('settings by parameters', () => {
  it('are read with what is not there as null, and `none` is not there', () => {
    const read = readCloudSettings(path, { ...good, 'kv-ca': 'none', 'first-token': ' none\n' });
    const { 'kv-ca': ca, 'kv-cert': cert, 'kv-key': key, 'first-token': first, ...others } = read;
    assert.deepEqual([ca, cert, key, first], [null, null, null, null]);
    assert.deepEqual(others, { ...good, ...forOidc(() => null) });
    assert.ok(Object.isFrozen(read));
  });

  it('that are wrong are named together, by their whole name, with what was expected and no value', () => {
    const wrong = { kv: 'sqlite:hush', histroy: good.history, 'kv-cert': 'hush', 'first-token': 'cf_hush' };
    assert.throws(
      () => readCloudSettings(path, wrong),
      (error) => {
        assert.ok(error instanceof Refusal);
        assert.equal(error.code, 'settings_invalid');
        for (const part of [
          /test\/kv is not valid; expected etcd:\/\/HOST/,
          /test\/history is missing; expected mongodb/,
          /test\/kv-cert is not valid; expected a certificate/,
          /test\/first-token is not valid/,
          /histroy is not a setting/,
        ])
          assert.match(error.message, part);
        assert.equal(/hush/.test(error.message + JSON.stringify(error.errors)), false);
        return true;
      },
    );
    const cert = '-----BEGIN CERTIFICATE-----\nx';
    assert.throws(() => readCloudSettings(path, { ...good, 'kv-cert': cert }), /come together/);
  });
});

describe('settings of a provider by parameters', () => {
  const oidc = {
    ...{ 'oidc-issuer': 'https://id.example.com', 'oidc-client': 'cronfleet', 'oidc-roles': 'ops=admin' },
  };
  it('are what a server is told by flags of the same names', () => {
    const read = readCloudSettings(path, { ...good, ...oidc, 'oidc-client-secret': 'hush' });
    assert.deepEqual(oidcOf(read), {
      ...{ issuer: 'https://id.example.com', clientId: 'cronfleet', clientSecret: 'hush', audience: null },
      ...{ groupsClaim: 'groups', scopes: 'openid profile email' },
      roles: [{ group: 'ops', role: 'admin', groups: null }],
    });
    assert.equal(oidcOf(readCloudSettings(path, good)), null);
  });
  it('that are wrong or missing are named like the others', () => {
    const { 'oidc-client': _, ...without } = oidc;
    const says = (found: Record<string, string>) => {
      try {
        return JSON.stringify(readCloudSettings(path, { ...good, ...found }));
      } catch (error) {
        return (error as Refusal).message;
      }
    };
    assert.match(
      says(without),
      /test\/oidc-client is missing beside oidc-issuer, oidc-roles; expected the id/,
    );
    const wrong = says({
      ...without,
      'oidc-issuer': 'http://id.example.com',
      'oidc-roles': 'ops=chief',
      kv: 'x',
    });
    for (const part of [
      /test\/kv is not valid/,
      /oidc-issuer is not valid; expected https/,
      /oidc-roles is not valid/,
    ])
      assert.match(wrong, part);
  });
});

describe('the settings of now', () => {
  const clock = new VirtualClock();
  const told: Event[] = [];
  const events = eventBus();
  events.on((event) => told.push(event));

  function given() {
    const read = { times: 0, kv: 'etcd://a:1', fails: false };
    const settings = settingsOfNow({
      async read(): Promise<CloudSettings> {
        read.times += 1;
        if (read.fails) throw new Error('away');
        return readCloudSettings(path, { ...good, kv: read.kv });
      },
      clock,
      events,
    });
    told.length = 0;
    return { settings, read };
  }

  it('are read when first needed, once for all who wait, and again after a minute', async () => {
    const { settings, read } = given();
    assert.equal(read.times, 0);
    await Promise.all([settings.now(), settings.now()]);
    await clock.advance(59_000);
    await settings.now();
    assert.equal(read.times, 1);
    await clock.advance(2_000);
    read.kv = 'etcd://b:1';
    assert.equal((await settings.now()).kv, 'etcd://b:1');
    assert.equal(read.times, 2);
    assert.deepEqual(told, [{ type: 'settings.changed', names: ['kv'] }]);
  });

  it('hold on where they can not be read again, which is told and tried anew in some seconds', async () => {
    const { settings, read } = given();
    await settings.now();
    await clock.advance(61_000);
    read.fails = true;
    for (let asked = 0; asked < 3; asked += 1) assert.equal((await settings.now()).kv, 'etcd://a:1');
    assert.equal(read.times, 2);
    assert.deepEqual(
      told.map(({ type }) => type),
      ['settings.stale'],
    );
    await clock.advance(6_000);
    read.fails = false;
    read.kv = 'etcd://b:1';
    assert.equal((await settings.now()).kv, 'etcd://b:1');
  });

  it('that could not be read at all are asked for by the next request', async () => {
    const { settings, read } = given();
    read.fails = true;
    await assert.rejects(settings.now(), /away/);
    read.fails = false;
    assert.equal((await settings.now()).kv, 'etcd://a:1');
  });

  it('are read at once after a store refused them, though not by every request', async () => {
    const { settings, read } = given();
    await settings.now();
    await settings.again();
    assert.equal(read.times, 1);
    await clock.advance(6_000);
    read.kv = 'etcd://b:1';
    assert.equal((await settings.again()).kv, 'etcd://b:1');
    await settings.again();
    assert.equal(read.times, 2);
  });

  it('are old after a freeze in which only the wall clock went on', async () => {
    const { settings, read } = given();
    await settings.now();
    clock.step(120_000);
    await settings.now();
    assert.equal(read.times, 2);
  });
});
