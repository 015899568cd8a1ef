import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  globSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse as parseYaml } from 'yaml';
import { readSettings, settingNames } from '#agent/settings.ts';
import { oidcNames } from '#core/cluster/oidc-settings.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { release } from './releases.ts';

const folder = mkdtempSync(join(tmpdir(), 'install-'));
after(() => rmSync(folder, { recursive: true }));

interface Ran {
  code: number | null;
  text: string;
}

function install(
  path: string,
  root: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Ran {
  const { status, stdout, stderr } = spawnSync(join(path, 'install.sh'), ['--root', root, ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...env },
  });
  return { code: status, text: `${stdout}${stderr}` };
}

/** Every file of a root with its mode and what it holds, but not when it was written. */
function contentsOf(root: string): Record<string, string> {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { mode } = lstatSync(path);
      const what = entry.isSymbolicLink()
        ? readlinkSync(path)
        : entry.isFile()
          ? createHash('sha256').update(readFileSync(path)).digest('hex')
          : '';
      return [path.slice(root.length), `${(mode & 0o7777).toString(8)} ${what}`];
    }),
  );
}

describe('the installer, in an empty root', { timeout: 120_000 }, () => {
  const root = join(folder, 'root');
  const paths: Record<string, string> = {};
  const modeOf = (path: string) => (lstatSync(join(root, path)).mode & 0o777).toString(8);
  const read = (path: string) => readFileSync(join(root, path), 'utf8');

  before(async () => {
    for (const version of ['1.0.0', '1.1.0', '1.2.0'])
      paths[version] = await release(folder, 'cronfleet-agent', version, process.execPath);
    paths.server = await release(folder, 'cronfleet-server', '1.0.0', process.execPath);
  });

  const at = (version: string) => paths[version] ?? assert.fail(version);

  it('puts program, settings, credentials and unit where they belong', () => {
    const env = { CRONFLEET_KV: 'etcd://u:p@a:1', CRONFLEET_HISTORY: 'mongodb://b/c' };
    const { code, text } = install(at('1.0.0'), root, [], env);
    assert.equal(code, 0, text);
    assert.equal(readlinkSync(join(root, 'opt/cronfleet-agent/current')), '1.0.0');
    assert.equal(
      readlinkSync(join(root, 'usr/local/bin/cronfleet')),
      '/opt/cronfleet-agent/current/bin/cronfleet',
    );
    assert.equal(read('etc/cronfleet/credentials/kv'), 'etcd://u:p@a:1\n');
    assert.deepEqual(
      ['', '/kv', '/history'].map((name) => modeOf(`etc/cronfleet/credentials${name}`)),
      ['700', '600', '600'],
    );
    assert.equal(modeOf('etc/cronfleet/agent.yaml'), '644');
    assert.match(
      read('etc/systemd/system/cronfleet-agent.service'),
      /^ExecStart=\/opt\/cronfleet-agent\/current\//m,
    );
    const said = spawnSync(join(root, 'opt/cronfleet-agent/current/bin/cronfleet'), ['--version'], {
      encoding: 'utf8',
    });
    assert.equal(said.stdout, '1.0.0\n', said.stderr);
  });

  it('changes nothing the second time, and keeps what its owner wrote', () => {
    writeFileSync(join(root, 'etc/cronfleet/agent.yaml'), 'data: /srv/agent\n');
    const was = contentsOf(root);
    assert.equal(install(at('1.0.0'), root).code, 0);
    assert.deepEqual(contentsOf(root), was);
  });

  it('goes to another version and back, keeping two', () => {
    for (const version of ['1.1.0', '1.2.0']) assert.equal(install(at(version), root).code, 0);
    const link = (name: string) => readlinkSync(join(root, 'opt/cronfleet-agent', name));
    assert.deepEqual([link('current'), link('previous')], ['1.2.0', '1.1.0']);
    assert.deepEqual(globSync('*', { cwd: join(root, 'opt/cronfleet-agent') }).sort(), [
      '1.1.0',
      '1.2.0',
      'current',
      'previous',
    ]);
    const back = install(join(root, 'opt/cronfleet-agent/current'), root, ['--rollback']);
    assert.match(back.text, /back from 1\.2\.0 to 1\.1\.0/);
    assert.deepEqual([link('current'), link('previous')], ['1.1.0', '1.2.0']);
    assert.equal(read('etc/cronfleet/agent.yaml'), 'data: /srv/agent\n');
  });

  it('keeps the choice of what jobs may, until another is made', () => {
    const dropIns = () => globSync('*', { cwd: join(root, 'etc/systemd/system/cronfleet-agent.service.d') });
    install(at('1.1.0'), root, ['--strict']);
    install(at('1.2.0'), root);
    assert.deepEqual(dropIns(), ['strict.conf']);
    install(at('1.2.0'), root, ['--as-root']);
    assert.deepEqual(dropIns(), ['root.conf']);
    install(at('1.2.0'), root, ['--plain']);
    assert.deepEqual(dropIns(), []);
    const both = install(at('1.2.0'), root, ['--strict', '--as-root']);
    assert.equal(both.code, 1);
    assert.match(both.text, /--as-root: --strict was said already/);
  });

  it('says what is wrong, and does nothing then', () => {
    const empty = join(folder, 'other');
    assert.match(install(at('1.0.0'), empty, ['--rollback']).text, /there is no version to go back to/);
    const unknown = install(at('1.0.0'), empty, ['--frobnicate']);
    assert.equal(unknown.code, 2);
    assert.deepEqual(contentsOf(empty), {});
  });

  it('writes into the settings where in Parameter Store the rest stands, once', () => {
    const image = join(folder, 'image-ssm');
    for (const place of ['/cronfleet/old', 'eu-central-1:/cronfleet/production'])
      assert.equal(install(at('1.2.0'), image, [], { CRONFLEET_SSM: place }).code, 0);
    const text = readFileSync(join(image, 'etc/cronfleet/agent.yaml'), 'utf8');
    assert.deepEqual(text.match(/^ssm: .*$/gm), ['ssm: eu-central-1:/cronfleet/production']);
    assert.equal(parseYaml(text).data, '/var/lib/cronfleet/agent');
  });

  it('installs the server with its site, the configuration of nginx, and what the runbook speaks of', () => {
    assert.equal(install(at('server'), root).code, 0);
    const besides = ['monitoring/alerts.yaml', 'monitoring/dashboard.json', 'etcd/restore.sh', 'runbook.md'];
    for (const file of ['dist/site/index.html', 'nginx/cronfleet.conf', ...besides])
      assert.ok(lstatSync(join(root, 'opt/cronfleet-server/current', file)).isFile());
  });
});

describe('the settings files that ship', () => {
  const used = {
    'agent.yaml': ['data', 'kv', 'history', 'ssm', 'id', 'labels', 'capacity', 'metrics', 'log-level'],
    'server.yaml': ['kv', 'history', 'ssm', 'listen', 'log-level', ...oidcNames],
  };
  for (const [name, wanted] of Object.entries(used)) {
    const path = join(projectFolder, 'infra/release', name);
    const text = readFileSync(path, 'utf8');

    it(`${name} is right as it is, and explains every setting and no other`, () => {
      readSettings({}, {}, path);
      const explained = [...text.matchAll(/^(?:# )?([a-z-]+): \S/gm)].map(([, key]) => key);
      assert.deepEqual([...explained].sort(), [...wanted].sort());
      assert.ok(wanted.every((one) => (settingNames as string[]).includes(one)));
    });

    it(`${name} holds with every comment taken away`, () => {
      const all = text.replace(/^# ([a-z-]+: (?!\().*)$/gm, '$1');
      const whole = join(folder, name);
      writeFileSync(whole, all);
      readSettings({}, {}, whole);
      assert.ok(Object.keys(parseYaml(all)).length >= wanted.length - 1);
    });
  }
});
