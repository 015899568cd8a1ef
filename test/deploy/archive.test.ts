import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';

/** What a host is said to have: a shell, what the launcher and the runner call, and the libraries of these and of Node. */
const programs = ['sh', 'dirname', 'readlink', 'mkfifo', 'cat'];
const missing = process.getuid?.() === 0 ? false : 'needs root, for a root of its own';

function ran(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env, cwd: projectFolder });
  assert.equal(status, 0, stderr);
  return stdout;
}

describe('the archives of npm run release, with their Node', { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'archive-'));
  const root = join(folder, 'root');
  const out = (name: string) => join(folder, name);
  const build = (name: string, env: NodeJS.ProcessEnv = {}, umask = '022'): void => {
    const args = ['infra/scripts/release.ts', '--out', out(name)];
    ran('sh', ['-c', `umask ${umask}; exec "$0" "$@"`, process.execPath, ...args], {
      ...process.env,
      ...env,
    });
  };
  let own: string;
  let running: ChildProcess | null = null;

  before(() => {
    build('first');
    mkdirSync(join(root, 'opt'), { recursive: true });
    for (const archive of globSync(join(out('first'), '*.tar.gz')))
      ran('tar', ['-xzf', archive, '-C', join(root, 'opt')]);
    own = globSync(join(root, 'opt/cronfleet-agent-*'))[0] ?? assert.fail('no agent');
  });
  after(async () => {
    if (running !== null && running.exitCode === null) {
      const gone = once(running, 'exit');
      running.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true });
  });

  /** A file of this host with all that its loader wants beside it, where it has them. */
  function bring(file: string, to: string): void {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    copyFileSync(file, join(root, to));
    bringLibraries(file);
  }
  function bringLibraries(file: string): void {
    for (const [, library = ''] of ran('ldd', [file]).matchAll(/(\/\S+) \(0x/g)) {
      mkdirSync(dirname(join(root, library)), { recursive: true });
      copyFileSync(library, join(root, library));
    }
  }

  it('are the same bytes built again, at another time, in another zone and by who lets nobody read', () => {
    build('second', { TZ: 'Pacific/Apia', LC_ALL: 'C', TMPDIR: folder }, '077');
    const sums = (name: string) => readFileSync(join(out(name), 'SHA256SUMS'), 'utf8');
    assert.equal(sums('second'), sums('first'));
    for (const [, sum, archive = ''] of sums('first').matchAll(/^(\S+) {2}(\S+)$/gm))
      assert.equal(
        createHash('sha256')
          .update(readFileSync(join(out('second'), archive)))
          .digest('hex'),
        sum,
      );
    assert.equal(readdirSync(out('first')).length, 3);
  });

  it('name no folder of whoever built them', () => {
    const texts = globSync(join(root, 'opt/*/**/*'), { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'node')
      .map((entry) => join(entry.parentPath, entry.name));
    assert.ok(texts.length > 20);
    for (const file of texts) assert.ok(!readFileSync(file, 'latin1').includes(projectFolder), file);
  });

  it('run a job in a root where there is nothing else but a shell', {
    skip: missing,
    timeout: 240_000,
  }, async () => {
    for (const program of programs)
      bring(ran('sh', ['-c', `command -v ${program}`]).trim(), `bin/${program}`);
    bringLibraries(join(own, 'bin/node'));
    for (const name of ['proc', 'dev', 'tmp', 'home']) mkdirSync(join(root, name));
    writeFileSync(join(root, 'dev/null'), '');
    const nodes = globSync(join(root, '**/node*'), { withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.startsWith(join(root, 'opt')))
      .map(({ name }) => basename(name));
    assert.deepEqual(nodes, []);
    assert.ok(!existsSync(join(root, 'usr/bin/env')));

    const program = `/opt/${basename(own)}/bin/cronfleet`;
    const mounts = `mount -t proc proc "$0/proc" && mount --bind /dev/null "$0/dev/null"`;
    const enter = `${mounts} && exec chroot "$0" /bin/sh -c 'cd /home && exec "$0" "$@"' "$@"`;
    const inside = (...args: string[]) =>
      spawn('unshare', ['--mount', 'sh', '-c', enter, root, program, ...args], {
        env: { PATH: '/bin:/usr/bin:/sbin:/usr/sbin', HOME: '/home' },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    running = inside('up', '--data', '/home/data', '--listen', '127.0.0.1:0');
    let said = '';
    for (const stream of [running.stdout, running.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    const ended = once(running, 'exit');
    await Promise.race([once(running.stdout ?? assert.fail(), 'data'), ended]);
    const [, url, token] = /(http:\S+)\/#token=(\S+)/.exec(said) ?? assert.fail(said);
    const ask = async (method: string, path: string, body?: object) => {
      const answer = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      assert.ok(answer.ok, `${method} ${path}: ${text}`);
      return JSON.parse(text);
    };
    await ask('PUT', '/jobs/default/inside', { command: 'echo "here: $(cat /proc/self/comm)"; exit 3' });
    const { run } = await ask('POST', '/jobs/default/inside/run', {});
    let text = '';
    for (let from = 0, done = false; !done; ) {
      const part = await ask('GET', `/runs/${run}/log?from=${from}&wait=20`);
      text += part.text;
      ({ next: from, done } = part);
    }
    assert.equal(text, 'here: cat\n', said);
    const { state, exitCode } = await ask('GET', `/runs/${run}`);
    assert.deepEqual({ state, exitCode }, { state: 'failed', exitCode: 3 });
    running.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null], said);
  });
});
