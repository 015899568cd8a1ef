import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse as parseYaml } from 'yaml';
import { readSettings, settingNames } from '#agent/settings.ts';
import { oidcNames } from '#core/cluster/oidc-settings.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { release } from './releases.ts';

const noRoot = process.getuid?.() === 0 ? false : 'needs root, for a disk of its own';
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

describe('the installer, in an empty root', { timeout: 300_000 }, () => {
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

  it('goes back where the present version is gone, and refuses for a server what is for agents', () => {
    const broken = join(folder, 'broken');
    for (const version of ['1.0.0', '1.1.0']) install(at(version), broken);
    rmSync(join(broken, 'opt/cronfleet-agent/current'));
    const back = install(join(broken, 'opt/cronfleet-agent/1.1.0'), broken, ['--rollback']);
    assert.equal(back.code, 0, back.text);
    assert.equal(readlinkSync(join(broken, 'opt/cronfleet-agent/current')), '1.0.0');
    const strict = install(at('server'), join(folder, 'other'), ['--strict']);
    assert.equal(strict.code, 1);
    assert.match(strict.text, /--strict: is for an agent/);
  });

  it('installs from and into folders with blanks and quotes in their names', () => {
    const odd = join(folder, "a folder's $HOME");
    mkdirSync(odd);
    renameSync(at('1.2.0'), join(odd, 'new agent'));
    const { code, text } = install(join(odd, 'new agent'), join(odd, 'the root'));
    renameSync(join(odd, 'new agent'), at('1.2.0'));
    assert.equal(code, 0, text);
    const program = join(odd, 'the root/opt/cronfleet-agent/current/bin/cronfleet');
    assert.equal(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout, '1.2.0\n');
  });

  it('leaves a disk that is full as it was, and ends what it began once there is room', {
    skip: noRoot,
  }, () => {
    // A disk of its own, in a mount namespace; what is to be seen afterwards is said by the script.
    const script = `set -eu
      mount -t tmpfs -o size=$1 disk "$2" && cd "$2"
      "$3/install.sh" --root "$2" >/dev/null
      printf 'ssm: /mine\\n' >etc/cronfleet/agent.yaml
      rm etc/cronfleet/credentials/history && CRONFLEET_KV=etcd://old:1 "$3/install.sh" --root "$2" >/dev/null
      head -c 100000000 /dev/zero >filler 2>/dev/null || true
      if "$4/install.sh" --root "$2" 2>/dev/null; then echo no room was needed; fi
      if CRONFLEET_KV=etcd://new:1 "$3/install.sh" --root "$2" 2>/dev/null; then echo no room was needed; fi
      ls -A opt/cronfleet-agent etc/cronfleet etc/cronfleet/credentials
      cat etc/cronfleet/credentials/kv etc/cronfleet/agent.yaml
      rm filler && "$4/install.sh" --root "$2"`;
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['-m', 'sh', '-c', script, 'sh', '24m', disk, at('1.0.0'), at('1.1.0')],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stdout + stderr);
    assert.deepEqual(stdout.trim().split('\n'), [
      ...['etc/cronfleet:', 'agent.yaml', 'credentials', ''],
      ...['etc/cronfleet/credentials:', 'history', 'kv', ''],
      ...['opt/cronfleet-agent:', '1.0.0', 'current', 'etcd://old:1', 'ssm: /mine'],
      `cronfleet-agent 1.1.0 is in ${join(disk, 'opt/cronfleet-agent/current')} (before: 1.0.0)`,
    ]);
  });

  it('trusts whom the host trusts', async () => {
    const [key, cert] = [join(folder, 'tls.key'), join(folder, 'tls.pem')];
    const own = ['-newkey', 'rsa:2048', '-nodes', '-days', '3', '-subj', '/CN=own', '-addext'];
    const files = ['-keyout', key, '-out', cert];
    const made = spawnSync('openssl', ['req', '-x509', ...own, 'subjectAltName=DNS:localhost', ...files]);
    assert.equal(made.status, 0, String(made.stderr));
    const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) =>
      response.end('{"items": [], "next": null}'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const env = {
      ...{ PATH: process.env.PATH, CRONFLEET_TOKEN: 'cf_a_b', CRONFLEET_DATA: folder },
      CRONFLEET_URL: `https://localhost:${(server.address() as AddressInfo).port}`,
    };
    const ask = async (more: object) => {
      const child = spawn(join(at('1.2.0'), 'bin/cronfleet'), ['ls'], { env: { ...env, ...more } });
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (piece) => {
          text += piece;
        });
      const [code] = await once(child, 'close');
      return { code, text };
    };
    try {
      const stranger = await ask({});
      assert.equal(stranger.code, 3);
      assert.match(stranger.text, /certificate that is refused.*have this machine trust/);
      // As update-ca-certificates would have put it there.
      const known = await ask({ SSL_CERT_FILE: cert });
      assert.equal(known.code, 0, known.text);
    } finally {
      server.close();
    }
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
