import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { clusterForFile, etcds } from '#test/etcd/servers.ts';
import { mongoForTests } from '#test/mongo/server.ts';
import { until } from '#test/until.ts';
import { Fleet } from './fleet.ts';
import { release } from './releases.ts';

const [programs] = await etcds();
if (!programs) throw new Error('no etcd');
const { endpoints } = await clusterForFile({ programs });
const mongo = await mongoForTests();

describe('an installed agent that nobody manages', { timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'unmanaged-'));
  const root = join(folder, 'root');
  const current = (name: string) => join(root, 'opt', name, 'current');
  const env = {
    ...{ PATH: '/usr/bin:/bin', HOME: folder, CRONFLEET_DATA: join(folder, 'data') },
    ...{ CRONFLEET_KV: `etcd://${endpoints}`, CRONFLEET_HISTORY: mongo.database().url },
  };
  const running = new Set<ChildProcess>();
  let fleet: Fleet;
  let agent: ChildProcess;

  function install(path: string, ...args: string[]): void {
    const { status, stderr } = spawnSync(join(path, 'install.sh'), ['--root', root, ...args], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
    });
    assert.equal(status, 0, stderr);
  }
  /** What it says when it is at work. */
  async function start(name: string, ...args: string[]): Promise<{ child: ChildProcess; line: string }> {
    const child = spawn(join(current(name), 'bin/cronfleet'), args, {
      env,
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    let err = '';
    child.stderr.on('data', (piece) => {
      err += piece;
    });
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (text) => resolve(String(text).trim()));
      child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}: ${err}`)));
    });
    return { child, line };
  }
  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    running.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
  const startAgent = async () => {
    ({ child: agent } = await start('cronfleet-agent', 'agent', '--id', 'w1', '--log-level', 'warn'));
  };
  const whereItWaits = (file: string) => `until [ -e ${folder}/${file} ]; do sleep 0.05; done`;
  const open = (file: string) => writeFileSync(join(folder, file), '');

  before(async () => {
    for (const version of ['1.0.0', '1.1.0'])
      await release(folder, 'cronfleet-agent', version, process.execPath);
    install(await release(folder, 'cronfleet-server', '1.0.0', process.execPath));
    install(join(folder, 'cronfleet-agent-1.0.0'));
    const { line } = await start(
      'cronfleet-server',
      'server',
      '--listen',
      '127.0.0.1:0',
      '--log-level',
      'warn',
    );
    const made = spawnSync(
      join(current('cronfleet-server'), 'bin/cronfleet'),
      ['token', 'create', 'test', '--role', 'admin', '--direct'],
      { env, encoding: 'utf8' },
    );
    fleet = new Fleet(/http:\S+/.exec(line)?.[0] ?? '', made.stdout.trim());
    await startAgent();
  });
  after(async () => {
    await Promise.all([...running].map((child) => end(child, 'SIGTERM')));
    rmSync(folder, { recursive: true });
  });

  for (const [how, signal] of [
    ['stopped', 'SIGTERM'],
    ['killed', 'SIGKILL'],
  ] as const)
    it(`is upgraded and rolled back while a job runs, ${how} each time: one run, its output and exit code kept`, async () => {
      const mark = (name: string) => `${how}-${name}`;
      const command = `echo begun by $$; ${whereItWaits(mark('upgraded'))}; echo between; ${whereItWaits(mark('back'))}; echo ended by $$; exit 7`;
      const run = await fleet.begin(how, { command }, 'begun');
      install(join(folder, 'cronfleet-agent-1.1.0'));
      await end(agent, signal);
      await startAgent();
      await fleet.worker('w1', ({ version, state }) => version === '1.1.0' && state === 'live');
      assert.equal((await fleet.ask('GET', `/runs/${run}`)).state, 'running');
      open(mark('upgraded'));
      install(current('cronfleet-agent'), '--rollback');
      await end(agent, signal);
      await startAgent();
      await fleet.worker('w1', ({ version, state }) => version === '1.0.0' && state === 'live');
      open(mark('back'));
      const { record, text } = await fleet.ended(run);
      assert.deepEqual([record.state, record.exitCode, record.attempt], ['failed', 7, 1]);
      const [, pid] = /begun by (\d+)/.exec(text) ?? [];
      assert.equal(text, `begun by ${pid}\nbetween\nended by ${pid}\n`);
    });

  it('takes over what ended while no agent was there', async () => {
    const run = await fleet.begin(
      'alone',
      { command: `echo begun; ${whereItWaits('alone')}; echo end; touch ${folder}/over; exit 5` },
      'begun',
    );
    await end(agent, 'SIGTERM');
    open('alone');
    await until('its end', () => existsSync(join(folder, 'over')));
    await startAgent();
    const { record, text } = await fleet.ended(run);
    assert.deepEqual([record.state, record.exitCode, text], ['failed', 5, 'begun\nend\n']);
  });
});
