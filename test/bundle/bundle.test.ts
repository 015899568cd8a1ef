import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startMongo } from '#infra/mongo/start-server.ts';
import { buildProgram, programPath } from '#infra/scripts/build.ts';
import { readPackage } from '#infra/scripts/sources/project-files.ts';

describe('what ships, alone in an empty folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bundle-'));
  const shipped = join(folder, 'shipped');
  const program = join(shipped, programPath);
  // Without the project's PATH and folders: nothing of node_modules can help it.
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: folder };
  const cronfleet = (...args: string[]): SpawnSyncReturns<string> =>
    spawnSync(process.execPath, [program, ...args], { cwd: folder, env, encoding: 'utf8', timeout: 60_000 });

  before(() => buildProgram(shipped));
  after(() => rmSync(folder, { recursive: true }));

  test('says its version', () => {
    const { stdout, stderr, status } = cronfleet('--version');
    assert.deepEqual(
      { stdout, stderr, status },
      { stdout: `${readPackage().version}\n`, stderr: '', status: 0 },
    );
  });

  test('tells its commands', () => {
    const { stdout, status } = cronfleet('--help');
    assert.equal(status, 0);
    for (const command of ['up', 'import', 'ls', 'run', 'why'])
      assert.match(stdout, new RegExp(`^ +${command} `, 'm'));
  });

  test('refuses a command that is not there, on stderr', () => {
    const { stdout, stderr, status } = cronfleet('frobnicate');
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /frobnicate/);
  });

  test('keeps its history in MongoDB, by the driver that is in the file', { timeout: 60_000 }, async () => {
    const server = await startMongo({ folder: join(folder, 'mongo') });
    assert.ok(!('missing' in server), 'missing' in server ? server.missing : '');
    const up = spawn(
      process.execPath,
      [
        ...[program, 'up', '--data', join(folder, 'with-mongo'), '--listen', '127.0.0.1:0'],
        ...['--history', `${server.url}/shipped`],
      ],
      { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let said = '';
    const ended = new Promise<number | null>((resolve) => up.on('close', resolve));
    const link = new Promise<RegExpExecArray>((resolve) => {
      for (const stream of [up.stdout, up.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          said += text;
          const found = /up: (http:\S+)\/#token=(\S+)/.exec(said);
          if (found !== null) resolve(found);
        });
    });
    try {
      const [, url, token] = await Promise.race([
        link,
        ended.then(() => Promise.reject(new Error(`ended before it was up: ${said}`))),
      ]);
      const answer = await fetch(`${url}/api/v1/runs`, { headers: { authorization: `Bearer ${token}` } });
      assert.deepEqual(await answer.json(), { items: [], next: null });
    } finally {
      up.kill('SIGTERM');
    }
    assert.equal(await ended, 0, said);
    await server.stop();
  });

  test('starts one machine, answers, tells what comes next and stops on TERM', {
    timeout: 60_000,
  }, async () => {
    const data = join(folder, 'data');
    const up = spawn(process.execPath, [program, 'up', '--data', data, '--listen', '127.0.0.1:0'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    const ended = new Promise<number | null>((resolve) => up.on('close', resolve));
    try {
      await new Promise<void>((resolve, reject) => {
        up.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text;
        });
        up.stdout.setEncoding('utf8').on('data', (text: string) => {
          said += text;
          if (said.includes('cronfleet is up: http://127.0.0.1:')) resolve();
        });
        up.on('exit', () => reject(new Error(`ended before it was up: ${said}`)));
      });
      const next = cronfleet('next', '*/5 * * * *');
      assert.equal(next.status, 0, next.stderr);
      assert.match(next.stdout, /\d{4}-\d\d-\d\d/);
      if (existsSync(join(shipped, 'dist/site/index.html'))) {
        const url = /http:\/\/[\d.:]+/.exec(said)?.[0] ?? '';
        assert.match(await (await fetch(url)).text(), /<title>cronfleet/);
      }
    } finally {
      up.kill('SIGTERM');
    }
    assert.equal(await ended, 0, said);
  });
});
