import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { startMongo } from '#infra/mongo/start-server.ts';
import { buildProgram, programPath } from '#infra/scripts/build.ts';
import { readPackage } from '#infra/scripts/sources/project-files.ts';
import { startParameterStore } from '#test/cloud/parameter-store.ts';

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

  test('reads its settings from Parameter Store, by the SDK that is in the file', async () => {
    const store = await startParameterStore();
    store.values.set('/cronfleet/x/kv', 'nonsense');
    const from = { ...env, AWS_ENDPOINT_URL_SSM: store.url, AWS_EC2_METADATA_DISABLED: 'true' };
    const keys = { AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'test' };
    const said = async (given: NodeJS.ProcessEnv): Promise<string> => {
      // Not waited for in this process's only thread: that one is Parameter Store.
      const child = spawn(process.execPath, [program, 'server', '--ssm', 'eu-west-1:/cronfleet/x'], {
        ...{ cwd: folder, env: given, stdio: ['ignore', 'ignore', 'pipe'] },
      });
      return await text(child.stderr ?? assert.fail());
    };
    try {
      assert.match(
        await said({ ...from, ...keys }),
        /Parameter Store eu-west-1:\/cronfleet\/x\/kv: .*not valid/,
      );
      assert.match(await said(from), /there are no credentials; expected a role/);
    } finally {
      await store.stop();
    }
  });

  test('keeps its history in MongoDB, by the driver that is in the file', { timeout: 120_000 }, async () => {
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
      await ended;
      await server.stop();
    }
    assert.equal(await ended, 0, said);
  });

  test('starts one machine, answers, tells what comes next and stops on TERM', {
    timeout: 120_000,
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
