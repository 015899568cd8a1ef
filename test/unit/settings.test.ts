import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { readSettings } from '#agent/settings.ts';
import { Refusal } from '#core/model/refusal.ts';

const dir = mkdtempSync(join(tmpdir(), 'cronfleet-settings-'));
after(() => rmSync(dir, { recursive: true }));
let files = 0;
function file(text: string): string {
  files += 1;
  const path = join(dir, `${files}.yaml`);
  writeFileSync(path, text);
  return path;
}
const empty = file('');

it('takes flags before variables before the file before what is so anyway', () => {
  const config = file('data: /c\nid: from-file\ncapacity: 3\nlabels: {zone: a}\n');
  const settings = readSettings({ data: '/a' }, { CRONFLEET_DATA: '/b', CRONFLEET_ID: 'from-env' }, config);
  assert.deepEqual(settings, {
    data: '/a',
    listen: { host: '127.0.0.1', port: 8787 },
    kv: null,
    history: null,
    id: 'from-env',
    labels: { zone: 'a' },
    capacity: 3,
    metrics: null,
    logLevel: 'info',
    oidc: null,
  });
});

it('takes what a service manager loaded, a file a setting, before the file and after the variables', () => {
  const folder = join(dir, 'credentials');
  mkdirSync(folder);
  writeFileSync(join(folder, 'kv'), 'etcd://u:secret@a:1\n');
  writeFileSync(join(folder, 'history'), 'mongodb://loaded/x\n');
  writeFileSync(join(folder, 'id'), '\n');
  writeFileSync(join(folder, 'other.key'), 'not a setting');
  const config = file('kv: etcd://file:1\nid: from-file\n');
  const env = { CREDENTIALS_DIRECTORY: folder, CRONFLEET_HISTORY: 'mongodb://variable/x' };
  const { kv, history, id } = readSettings({}, env, config);
  assert.deepEqual([kv, history, id], ['etcd://u:secret@a:1', 'mongodb://variable/x', 'from-file']);
});

it('says which loaded file it can not read', () => {
  const folder = join(dir, 'unreadable');
  mkdirSync(join(folder, 'kv'), { recursive: true });
  assert.throws(
    () => readSettings({}, { CREDENTIALS_DIRECTORY: folder }, empty),
    (error: Refusal) => /credential .*unreadable\/kv: /.test(error.message),
  );
});

it('is frozen, all of it', () => {
  const settings = readSettings({}, {}, empty);
  for (const part of [settings, settings.listen, settings.labels]) assert.ok(Object.isFrozen(part));
});

it('tells all mistakes at once, each with where it stands, its value and what was expected', () => {
  const config = file('capacity: none\nconstructor: x\nhistory: mongo://h\n');
  assert.throws(
    () =>
      readSettings(
        { listen: '8787', data: ' ' },
        { CRONFLEET_ID: 'a b', CRONFLEET_LOG_LEVEL: 'loud' },
        config,
      ),
    (error) => {
      assert.ok(error instanceof Refusal);
      const said = error.errors.map(({ message }) => message).join('\n');
      for (const part of [
        /--listen: "8787" .*HOST:PORT/,
        /--data: " "/,
        /CRONFLEET_ID: "a b"/,
        /CRONFLEET_LOG_LEVEL: "loud"/,
        /: capacity: "none"/,
        /: constructor: is no setting/,
        /: history: "mongo:\/\/h" .*sqlite:FILE/,
      ])
        assert.match(said, part);
      return error.errors.length === 7;
    },
  );
});

it('refuses a file that was named and is not there, or is no list of settings', () => {
  assert.throws(() => readSettings({}, {}, join(dir, 'none')), /none: is not there/);
  assert.throws(() => readSettings({}, {}, file('- a\n')), /expected settings/);
});

const provider = {
  ...{ 'oidc-issuer': 'https://id.example.com/realm', 'oidc-client': 'cronfleet', 'oidc-roles': 'ops=admin' },
};

it('reads who says who people are, and what their groups may', () => {
  const config = file(
    'oidc-issuer: https://id.example.com/realm\noidc-client: cronfleet\noidc-roles: {ops: admin, dev: editor:web+batch, "*": viewer}\n',
  );
  const { oidc } = readSettings({ 'oidc-scopes': 'openid offline_access' }, {}, config);
  assert.deepEqual(oidc, {
    ...{ issuer: 'https://id.example.com/realm', clientId: 'cronfleet', clientSecret: null, audience: null },
    ...{ groupsClaim: 'groups', scopes: 'openid offline_access' },
    roles: [
      { group: 'ops', role: 'admin', groups: null },
      { group: 'dev', role: 'editor', groups: ['web', 'batch'] },
      { group: '*', role: 'viewer', groups: null },
    ],
  });
  assert.ok(Object.isFrozen(oidc));
});

it('takes groups by whatever name a directory gives them', () => {
  const text = '"CN=ops,OU=it"=admin, "CN=dev"=editor, a b : c=viewer:x ,https://e.com/g=operator,';
  const { oidc } = readSettings({ ...provider, 'oidc-roles': text }, {}, empty);
  assert.deepEqual(
    oidc?.roles.map(({ group, role, groups }) => [group, role, groups]),
    [
      ['CN=ops,OU=it', 'admin', null],
      ['CN=dev', 'editor', null],
      ['a b : c', 'viewer', ['x']],
      ['https://e.com/g', 'operator', null],
    ],
  );
});

it('names every setting of a provider that is wrong, and each that is missing beside others', () => {
  const says = (flags: Record<string, string>) => {
    try {
      return JSON.stringify(readSettings(flags, {}, empty).oidc);
    } catch (error) {
      return (error as Refusal).message;
    }
  };
  assert.match(
    says({ 'oidc-audience': 'x' }),
    /--oidc-issuer is missing beside oidc-audience.*\n--oidc-client is.*\n--oidc-roles is/,
  );
  for (const roles of [
    'ops',
    'ops=',
    '=admin',
    'ops=chief',
    'ops=admin;dev=viewer',
    'dev=editor:',
    'dev=editor:we b',
    'dev=editor:-x',
    '"ops=admin',
  ])
    assert.match(
      says({ ...provider, 'oidc-roles': roles }),
      /--oidc-roles: .* is not valid; expected GROUP=ROLE/,
      roles,
    );
  for (const issuer of [
    'id.example.com',
    'http://id.example.com',
    'https://u@id.example.com',
    'https://id.example.com?x',
    'https://id.example.com#',
    'ftp://127.0.0.1',
  ])
    assert.match(
      says({ ...provider, 'oidc-issuer': issuer }),
      /--oidc-issuer: .* is not valid; expected https/,
      issuer,
    );
  assert.match(says({ ...provider, 'oidc-issuer': 'http://127.0.0.1:8080/x' }), /127/);
  assert.match(says({ ...provider, 'oidc-scopes': 'profile' }), /openid among them/);
});
