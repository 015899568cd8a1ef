import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { loadSettings } from '#agent/settings.ts';
import type { Refusal } from '#core/model/refusal.ts';
import { readEtcdUrl } from '#core/stores/kv/etcd/options.ts';
import { type ParameterStore, startParameterStore } from '#test/cloud/parameter-store.ts';

const path = '/cronfleet/test';
const environment = process.env;
const dir = mkdtempSync(join(tmpdir(), 'cronfleet-parameters-'));
const config = join(dir, 'config.yaml');
let store: ParameterStore;
before(async () => {
  store = await startParameterStore();
});
after(async () => {
  await store.stop();
  rmSync(dir, { recursive: true });
});
beforeEach(() => {
  writeFileSync(config, '');
  store.values.clear();
  store.denied = false;
  store.asked = 0;
  process.env = {
    ...{ PATH: environment.PATH, HOME: dir, AWS_REGION: 'eu-central-1', AWS_ENDPOINT_URL_SSM: store.url },
    ...{ AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'test', AWS_EC2_METADATA_DISABLED: 'true' },
  };
});
afterEach(() => {
  process.env = environment;
});

const set = (values: Record<string, string>) => {
  for (const [name, value] of Object.entries(values)) store.values.set(`${path}/${name}`, value);
};
const load = (flags: Record<string, string> = {}, env: Record<string, string> = {}) =>
  loadSettings({ ssm: path, ...flags }, env, config);
const refused = async (flags: Record<string, string> = {}): Promise<string> => {
  const error = await load(flags).then(
    () => assert.fail('it was not refused'),
    (caught: Refusal) => caught,
  );
  assert.match(error.code, /^settings_/);
  assert.ok(!JSON.stringify([error.message, error.errors]).includes('hunter2'), error.message);
  return error.message;
};

describe('settings of a daemon in Parameter Store', () => {
  it('say what nothing on the host says', async () => {
    set({ kv: 'etcd://parameter:1', history: 'mongodb://parameter/x', capacity: '7', labels: 'zone=p' });
    writeFileSync(config, 'history: mongodb://file/x\nlabels: {zone: file}\n');
    const { kv, history, capacity, labels } = await load({}, { CRONFLEET_LABELS: 'zone=variable' });
    assert.deepEqual(
      { kv, history, capacity, labels },
      {
        ...{ kv: 'etcd://parameter:1', history: 'mongodb://file/x', capacity: 7 },
        labels: { zone: 'variable' },
      },
    );
  });

  it('are found by the file or a variable that names the place, too', async () => {
    set({ capacity: '7' });
    writeFileSync(config, `ssm: ${path}\n`);
    assert.equal((await loadSettings({}, {}, config)).capacity, 7);
    writeFileSync(config, '');
    assert.equal((await loadSettings({}, { CRONFLEET_SSM: path }, config)).capacity, 7);
    const asked = store.asked;
    assert.equal((await loadSettings({}, {}, config)).capacity, 100);
    assert.equal(store.asked, asked, 'who names no place asks nobody');
  });

  it('leave to each host what is its own, and to others what is theirs', async () => {
    set({ id: 'everybody', data: '/x', listen: '0.0.0.0:1', 'first-token': 'cf_x', metrics: 'none' });
    const { id, data, listen, metrics } = await load();
    assert.deepEqual([id, data, listen.host, metrics], [null, '.cronfleet', '127.0.0.1', null]);
  });

  it('bring etcd its certificates, which no refusal shows', async () => {
    const files = { cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') };
    const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=x'];
    execFileSync('openssl', [...made, '-keyout', files.key, '-out', files.cert], { stdio: 'ignore' });
    const own = { 'kv-cert': readFileSync(files.cert, 'utf8'), 'kv-key': readFileSync(files.key, 'utf8') };
    set({ kv: 'etcds://a:1', 'kv-ca': own['kv-cert'], ...own });
    const { tls } = readEtcdUrl((await load()).kv ?? '');
    assert.equal(String(tls?.key), own['kv-key'].trim());
    assert.equal(String(tls?.cert), own['kv-cert'].trim());
    assert.equal(String(tls?.ca), own['kv-cert'].trim());

    const refusesIt = async (why: RegExp) => {
      const { kv } = await load();
      const secrets = [own['kv-key'].slice(100, 140), 'hunter2'];
      assert.throws(
        () => readEtcdUrl(kv ?? ''),
        ({ message }: Error) => why.test(message) && !secrets.some((text) => message.includes(text)),
      );
    };
    set({ kv: 'etcds://a:1', 'kv-ca': own['kv-cert'], 'kv-key': own['kv-key'] });
    store.values.delete(`${path}/kv-cert`);
    await refusesIt(/cert and key come together/);
    const torn = (what: string) => `-----BEGIN ${what}-----\nMII/hunter2+=\n-----END ${what}-----\n`;
    set({ kv: 'etcds://a:1', ...own, 'kv-ca': torn('CERTIFICATE'), 'kv-key': torn('PRIVATE KEY') });
    await refusesIt(/: ca holds no certificate in PEM; key holds no private key in PEM/);
    // Of an etcd that is named elsewhere they are not.
    assert.equal((await load({ kv: 'etcd://flag:1' })).kv, 'etcd://flag:1');
    set({ 'kv-ca': 'hunter2' });
    assert.match(await refused(), /\/cronfleet\/test\/kv-ca: .* not valid; expected PEM/);
  });

  it('that are not valid are named, all of them, and not shown', async () => {
    set({ kv: 'hunter2', capacity: 'hunter2' });
    const said = await refused();
    assert.match(said, /Parameter Store \/cronfleet\/test\/kv: .*; expected sqlite:FILE or etcd/);
    assert.match(said, /\/cronfleet\/test\/capacity: .*; expected a whole number/);
    assert.match(await refused({ ssm: 'cronfleet' }), /--ssm: "cronfleet" is not valid; expected a path/);
  });

  it('that are not there are said to be missing, with what was looked for', async () => {
    assert.match(
      await refused({ ssm: `eu-west-1:${path}` }),
      /nothing below eu-west-1:\/cronfleet\/test in Parameter Store; .*\/cronfleet\/test\/kv and/,
    );
  });

  it('that may not be read, or by nobody, say what is missing', async () => {
    store.denied = true;
    assert.match(await refused(), /who asks may not; expected ssm:GetParametersByPath on \/cronfleet\/test/);
    delete process.env.AWS_ACCESS_KEY_ID;
    assert.match(await refused(), /there are no credentials; expected a role/);
    delete process.env.AWS_REGION;
    assert.match(await refused(), /of which region\? expected AWS_REGION/);
  });

  it('that can not be reached say so', async () => {
    const gone = await startParameterStore();
    await gone.stop();
    process.env.AWS_ENDPOINT_URL_SSM = gone.url;
    assert.match(await refused(), /Parameter Store does not answer; expected a way to it/);
  });
});
