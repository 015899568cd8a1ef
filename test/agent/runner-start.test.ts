import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { commandOf } from '#agent/runner/command.ts';
import { createRunner } from '#agent/runner/create.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Clock } from '#core/ports/clock.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { type Given, planOf, RunnerHost } from './runner-host.ts';

const isRoot = process.getuid?.() === 0;
const me = userInfo().username;
/** Known on every Debian and not us. */
const other = 'daemon';
let host: RunnerHost;

describe('runner: how a command is started', () => {
  before(async () => {
    host = await new RunnerHost().adopt();
  });
  after(() => host.close());

  it('runs a command line by /bin/sh and keeps both of its outputs and its status', async () => {
    const end = await host.run('plain', { command: 'echo out; echo err >&2; exit 3' });
    assert.equal(end.text, 'out\nerr\n');
    assert.deepEqual(
      [end.how, end.exitCode, end.signal, end.bytes, end.droppedBytes],
      ['exited', 3, null, 8, 0],
    );
    assert.equal(end.tail, 'out\nerr\n');
    assert.ok(end.startedAt !== null && end.startedAt <= end.endedAt && end.endedAt <= host.clock.now());
  });

  it('tells a start once, with the time of the end', async () => {
    const run = await host.begin('told', { command: ':' });
    const end = await host.ended(run);
    assert.equal(host.starts.get(run), end.startedAt);
  });

  it('gives the run and nothing of the agent but an allow-list', async () => {
    const { text } = await host.run(
      'environment',
      { command: 'env', env: { GREETING: 'hello', CRON_RUN_ID: 'forged' } },
      {
        instant: Date.UTC(2026, 10, 22, 16, 35),
        attempt: 2,
        env: { MORE: 'order' },
        shard: { index: 1, count: 3 },
      },
    );
    const env = Object.fromEntries(
      text
        .trim()
        .split('\n')
        .map((line) => line.split(/=(.*)/s).slice(0, 2)),
    );
    const { dev, ino } = statSync(join(host.dir, 'runs'));
    assert.deepEqual(env, {
      ...{
        CRON_AGENT: `${dev}.${ino}`,
        PATH: process.env.PATH,
        HOME: host.dir,
        LANG: 'C.UTF-8',
        LOGNAME: me,
        USER: me,
        PWD: host.dir,
      },
      ...{ GREETING: 'hello', MORE: 'order' },
      ...{ CRON_JOB: 'default/environment', CRON_RUN_ID: 'default~environment~oenvironment~1' },
      ...{ CRON_INSTANT: '2026-11-22T16:35:00.000Z', CRON_ATTEMPT: '2', CRON_FENCE: '7' },
      ...{ CRON_SHARD: '1', CRON_SHARDS: '3' },
    });
  });

  it("lets an order's variables win over the job's", async () => {
    const { text } = await host.run(
      'order',
      { command: 'echo $A', env: { A: 'job' } },
      { env: { A: 'order' } },
    );
    assert.equal(text, 'order\n');
  });

  it('leaves no descriptor and no ignored signal of ours in the command', async () => {
    const { text } = await host.run('clean', {
      command: 'ls -l /proc/self/fd; grep -E "^Sig(Ign|Blk)" /proc/self/status | cut -f2 | sort -u',
    });
    const ours = text.split('\n').filter((line) => line.includes(host.dir));
    assert.deepEqual(
      ours.map((line) => line.replace(/^.* (\d+) -> .*\/(.*)$/, '$1 $2')),
      ['1 output', '2 output'],
    );
    assert.match(text, /\n0000000000000000\n$/);
  });

  it('starts each run in a session of its own', async () => {
    const { text } = await host.run('session', { command: 'cut -d" " -f6 /proc/self/stat; echo $PPID' });
    const [session, wrapper] = text.trim().split('\n');
    assert.equal(session, wrapper);
  });

  it('feeds stdin from text, and /dev/null where there is none', async () => {
    assert.equal((await host.run('fed', { command: 'cat', stdin: 'a\nb' })).text, 'a\nb');
    assert.equal((await host.run('unfed', { command: 'readlink /proc/self/fd/0' })).text, '/dev/null\n');
  });

  it('runs arguments without a shell, to the letter', async () => {
    const argv = ['/usr/bin/printf', '[%s]', '$HOME', 'a  b', '', '`x`', "it's", '*'];
    assert.equal((await host.run('argv', { argv })).text, "[$HOME][a  b][][`x`][it's][*]");
  });

  it('takes a shell of its own, and says 127 for what no shell finds', async () => {
    assert.equal(
      (await host.run('bash', { command: 'echo ${BASH_VERSION:+bash}', shell: '/bin/bash' })).text,
      'bash\n',
    );
    const missing = await host.run('missing', { argv: ['/no/such/program'] });
    assert.deepEqual([missing.how, missing.exitCode], ['exited', 127]);
    assert.match(missing.text, /no\/such\/program/);
  });

  it('takes the folder asked for, else HOME, else the root', async () => {
    assert.equal((await host.run('there', { command: 'pwd', cwd: '/usr' })).text, '/usr\n');
    assert.equal((await host.run('home', { command: 'pwd' })).text, `${host.dir}\n`);
    const homeless = await new RunnerHost({ env: { HOME: '/no/such/home' } }).adopt();
    assert.equal((await homeless.run('root', { command: 'pwd' })).text, '/\n');
    await homeless.close();
  });

  it('counts an exit of 128 + n as an exit: only our own kills are signals', async () => {
    const coded = await host.run('coded', { command: 'exit 143' });
    assert.deepEqual([coded.how, coded.exitCode, coded.signal], ['exited', 143, null]);
    const shot = await host.run('shot', { command: 'kill -9 $$' });
    assert.deepEqual([shot.how, shot.exitCode, shot.signal, shot.text], ['exited', 137, null, '']);
  });

  it('ends when the process ends, whoever still holds the output; what a job leaves behind by itself lives on', async () => {
    const end = await host.run('leaves', { command: 'sleep 300 & echo $!' });
    assert.equal(end.how, 'exited');
    assert.equal(existsSync(`/proc/${end.text.trim()}`), true);
    await host.runner.kill('default~leaves~oleaves~1', { signal: 'TERM', graceMs: 1_000 });
    assert.equal(existsSync(`/proc/${end.text.trim()}/exe`), false);
  });

  it('refuses by name what this host lacks, and leaves nothing behind', async () => {
    const before = readdirSync(join(host.dir, 'runs')).sort();
    const cases: [string, Given][] = [
      ['shell_missing', { command: 'x', shell: '/no/such/shell' }],
      ['shell_missing', { command: 'x', shell: '/etc' }],
      ['cwd_missing', { command: 'x', cwd: '/no/such/folder' }],
      ['cwd_missing', { command: 'x', cwd: '/etc/passwd' }],
      ['user_unknown', { command: 'x', user: 'nosuchuser' }],
      ['spawn_failed', { argv: ['/bin/echo', ...Array.from({ length: 32 }, () => 'x'.repeat(131_000))] }],
    ];
    for (const [code, given] of cases) assert.equal(await host.arm(planOf('refused', given)), code);
    assert.deepEqual(readdirSync(join(host.dir, 'runs')).sort(), before);
    assert.deepEqual(
      readdirSync(join(host.dir, 'gates')).filter((name) => name.endsWith('.go.new')),
      [],
    );
    assert.equal(host.runner.count(), 0);
  });

  it('switches to a user with all of its groups, or refuses where it may not', async () => {
    if (!isRoot) {
      assert.equal(await host.arm(planOf('switched', { command: 'id', user: other })), 'user_denied');
      return;
    }
    const { text } = await host.run('switched', { command: 'id; echo $HOME $USER $LOGNAME', user: other });
    const expected = execFileSync('id', [other], { encoding: 'utf8' });
    const home = execFileSync('getent', ['passwd', other], { encoding: 'utf8' }).split(':')[5];
    assert.equal(text, `${expected}${home} ${other} ${other}\n`);
  });

  it('arms others while a user is looked up, and then waits no more for that one', async () => {
    const { PATH } = process.env;
    const real = systemClock();
    // However long the others take, the name service is not given up: its answer below would wait for ever for a reader.
    const after: Clock['after'] = (ms, fn) => (ms < 5_000 ? real.after(ms, fn) : () => {});
    const host = await new RunnerHost({ clock: { ...real, after } }).adopt();
    const bin = join(host.dir, 'bin');
    mkdirSync(bin);
    execFileSync('mkfifo', [join(bin, 'answer')]);
    writeFileSync(join(bin, 'getent'), `#!/bin/sh\nread line < ${bin}/answer\nexit 2\n`, { mode: 0o755 });
    process.env.PATH = `${bin}:${PATH}`;
    try {
      const looked = host.runner.lookUp('slow');
      assert.notEqual(looked, null);
      assert.equal(host.runner.lookUp(null), null);
      assert.equal(host.runner.lookUp(me), null);
      await host.ended(await host.begin('meanwhile', { command: ':' }));
      writeFileSync(join(bin, 'answer'), 'now\n');
      await looked;
      assert.equal(host.runner.lookUp('slow'), null);
      assert.equal(await host.arm(planOf('slow', { command: ':', user: 'slow' })), 'user_unknown');
    } finally {
      process.env.PATH = PATH;
      await host.close();
    }
  });

  it('does not switch to whom it runs as already', async () => {
    assert.equal((await host.run('self', { command: 'id -un', user: me })).text, `${me}\n`);
  });

  it('refuses a switch for an agent that is not root, saying so', () => {
    const account = { name: other, gid: '1', home: '/', shell: '/bin/sh' };
    const host_ = { env: {}, mark: '', self: { uid: 1_000, name: 'someone', home: '/' } };
    assert.throws(
      () => commandOf(planOf('denied', { command: 'x', user: other }), account, host_),
      (error) => error instanceof Refusal && error.code === 'user_denied' && /someone/.test(error.message),
    );
  });

  it('keeps run directories from everybody else', async () => {
    const run = await host.begin('private', { command: ':', stdin: 'secret' });
    await host.ended(run);
    const dir = join(host.dir, 'runs', run);
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    for (const name of ['run.json', 'stdin', 'output', 'claimed'])
      assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600, name);
    await host.runner.forget(run);
    assert.equal(existsSync(dir), false);
  });

  it('has room for the longest names in its folder', async () => {
    const name = 'n'.repeat(64);
    const job = { command: 'echo long', group: 'g'.repeat(64) };
    const run = `${job.group}~${name}~20261122T163500.000Z~999999~${'w'.repeat(64)}`;
    assert.equal((await host.run(name, job, { run, gate: run })).text, 'long\n');
  });

  it('says elsewhere than on Linux that agents do not run there', () => {
    const { clock } = host;
    const dir = join(host.dir, 'elsewhere');
    mkdirSync(dir);
    const ids = { id: () => 'x', secret: () => 'x', chance: () => 0 };
    const events = { emit() {}, on: () => () => {} };
    assert.throws(
      () =>
        createRunner({
          dir,
          clock,
          ids,
          ledger: host.ledger,
          events,
          env: {},
          platform: 'darwin',
          program: [],
        }),
      (error) =>
        error instanceof Refusal && error.code === 'platform_unsupported' && /darwin/.test(error.message),
    );
  });
});
