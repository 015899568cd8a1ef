import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until, within } from '#test/until.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'cronfleet-up-'));
const data = join(dir, 'data');
let server: ChildProcess;
let url = '';
let token = '';

/** Starts `up` and waits for the line that says where it is. */
async function up(): Promise<void> {
  server = spawn(
    process.execPath,
    [main, 'up', '--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error'],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, CRONFLEET_SECRET: 'hush' } },
  );
  const said = new Promise<string>((resolve, reject) => {
    server.stdout?.once('data', (text) => resolve(String(text)));
    server.once('exit', (code) => reject(new Error(`up ended with ${code}`)));
  });
  const line = await within('up to say where it is', said, () => 'nothing');
  [, url = '', token = ''] = /(http:\S+)\/#token=(\S+)/.exec(line) ?? [];
  assert.notEqual(url, '');
}

function down(signal: NodeJS.Signals): Promise<unknown> {
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill(signal);
  return gone;
}

// biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
async function ask(method: string, path: string, body?: unknown): Promise<any> {
  const headers = {
    authorization: `Bearer ${token}`,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return response.json();
}

async function start(name: string, job: object): Promise<string> {
  await ask('PUT', `/jobs/default/${name}`, job);
  const { run } = await ask('POST', `/jobs/default/${name}/run`, {});
  return run;
}

/** The whole of a run's output, waited for by long polls, and the run as it ended. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
async function end(run: string): Promise<{ text: string; run: any }> {
  let text = '';
  let from = 0;
  const read = async () => {
    const part = await ask('GET', `/runs/${run}/log?from=${from}&wait=20`);
    text += part.text;
    from = part.next;
    return { ...part, text };
  };
  await until(`the end of ${run}`, read, ({ done }) => done);
  return { text, run: await ask('GET', `/runs/${run}`) };
}

/** Waits until the log of a run holds something. */
async function says(run: string, wanted: string): Promise<string> {
  let text = '';
  let from = 0;
  const read = async () => {
    const part = await ask('GET', `/runs/${run}/log?from=${from}&wait=20`);
    text += part.text;
    from = part.next;
    assert.ok(!part.done || text.includes(wanted), `${run} ended without saying ${wanted}`);
    return text;
  };
  return await until(`${run} to say ${wanted}`, read, (said) => said.includes(wanted));
}

/** By how much this host was late at worst with a process that was to be there on the second, as long as something took. */
async function latenessDuring(coming: Promise<unknown>): Promise<number> {
  let over = false;
  const done = coming.finally(() => {
    over = true;
  });
  let worstMs = 0;
  while (!over) {
    const due = Math.ceil(Date.now() / 1_000) * 1_000;
    await Promise.race([done, sleep(due - Date.now())]);
    if (!over) await once(spawn('true', { stdio: 'ignore' }), 'exit');
    worstMs = Math.max(worstMs, Date.now() - due);
  }
  return worstMs;
}

function tagged(run: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`).includes(`CRON_RUN_ID=${run}\0`);
    } catch {
      // Gone meanwhile.
      return false;
    }
  });
}

describe('one machine', { skip: process.platform === 'linux' ? false : 'agents run on Linux' }, () => {
  before(up);
  after(async () => {
    await down('SIGINT');
    rmSync(dir, { recursive: true });
  });

  it('runs a command, keeps its output, its status and its environment to itself', async () => {
    const run = await start('plain', {
      command: 'echo "$CRON_JOB $CRON_ATTEMPT [$CRONFLEET_SECRET] $GREETING"; echo oops >&2; exit 3',
      env: { GREETING: 'hello' },
    });
    const { text, run: ended } = await end(run);
    assert.equal(text, 'default/plain 1 [] hello\noops\n');
    assert.deepEqual(
      [ended.state, ended.exitCode, ended.reason, ended.bytes],
      ['failed', 3, 'exit status 3', text.length],
    );
  });

  it('runs scheduled instants on their second, each once', async () => {
    const stamps = join(dir, 'stamps');
    await ask('PUT', '/jobs/default/second', {
      command: `echo $CRON_INSTANT >> ${stamps}; echo done`,
      schedule: '* * * * * *',
    });
    const succeeded = until(
      'three of its runs to succeed',
      () => ask('GET', '/runs?job=second&state=succeeded'),
      (page) => page.items.length >= 3,
    );
    const hostMs = await latenessDuring(succeeded);
    const { items } = await succeeded;
    await ask('DELETE', '/jobs/default/second');
    // Within what is promised of a start (P3), and by no more than this host is late with anything at that time.
    for (const { lateMs } of items)
      assert.ok(lateMs >= 0 && lateMs < 2_000 + hostMs, `late by ${lateMs} ms, the host by ${hostMs} ms`);
    const lines = readFileSync(stamps, 'utf8').trim().split('\n');
    assert.equal(new Set(lines).size, lines.length, 'no instant twice');
  });

  it('gives stdin, arguments without a shell, and a folder', async () => {
    assert.equal(
      (await end(await start('stdin', { command: 'cat; pwd', stdin: 'fed\n', cwd: '/' }))).text,
      'fed\n/\n',
    );
    assert.equal(
      (await end(await start('argv', { argv: ['/bin/echo', '$HOME', 'a  b'] }))).text,
      '$HOME a  b\n',
    );
  });

  it('says in the ledger what this host lacks for a job', async () => {
    for (const [field, job] of [
      ['shell', { command: 'x', shell: '/no/such/shell' }],
      ['cwd', { command: 'x', cwd: '/no/such/folder' }],
      ['user', { command: 'x', user: 'nosuchuser' }],
    ] as const) {
      const { run } = await end(await start(`lacks-${field}`, job));
      assert.equal(run.state, 'failed');
      assert.ok(run.reason.startsWith(`${field}: `), run.reason);
    }
  });

  it('kills a run with all its children: those of other sessions, those that ignore TERM, those that hold the output', async () => {
    const run = await start('tree', {
      command:
        "trap '' TERM; setsid sleep 300 & (setsid sh -c 'trap \"\" TERM; sleep 300' &); sleep 300 & echo up; wait",
      killGrace: '200ms',
    });
    const other = await start('bystander', { command: 'echo up; sleep 300' });
    await says(run, 'up');
    await says(other, 'up');
    await ask('POST', `/runs/${run}/kill`, {});
    const { run: ended } = await end(run);
    assert.deepEqual([ended.state, ended.kill.confirmedAt !== null], ['killed', true]);
    assert.deepEqual(tagged(run), []);
    assert.notEqual(tagged(other).length, 0);
    await ask('POST', `/runs/${other}/kill`, {});
    assert.equal((await end(other)).run.state, 'killed');
  });

  it('ends what takes too long', async () => {
    const { run } = await end(
      await start('slow', { command: 'sleep 300', timeout: '300ms', killGrace: '1s' }),
    );
    assert.equal(run.state, 'timed_out');
    assert.deepEqual(tagged(run.id), []);
  });

  it('tries again as often as it may, each attempt a run of its own', async () => {
    const run = await start('again', {
      command: 'echo attempt $CRON_ATTEMPT; exit 1',
      retry: { attempts: 2, backoff: '50ms' },
    });
    await end(run);
    const third = run.replace(/~1$/, '~3');
    await until(
      'three attempts that failed',
      () => ask('GET', '/runs?job=again'),
      ({ items }) => items.length === 3 && items.every(({ state }: { state: string }) => state === 'failed'),
    );
    assert.equal((await end(third)).text, 'attempt 3\n');
  });

  it('keeps head and tail of a long output, and counts what lies between', async () => {
    const { text, run } = await end(await start('long', { command: 'seq 1 100000', output: { max: 2_000 } }));
    assert.ok(text.startsWith('1\n2\n') && text.endsWith('99999\n100000\n'));
    assert.equal(run.bytes, 588_895);
    assert.equal(run.droppedBytes, run.bytes - 2_000);
    assert.equal(text.length, 2_000);
  });

  it('leaves running jobs alive when it is killed, and adopts them with output and exit code', async () => {
    const run = await start('survivor', {
      command: `echo before; until [ -e ${dir}/go ]; do sleep 0.05; done; echo after; exit 7`,
    });
    await says(run, 'before');
    await down('SIGKILL');
    assert.notEqual(tagged(run).length, 0);
    await up();
    await start('gate', { command: `: > ${dir}/go` });
    const { text, run: ended } = await end(run);
    assert.deepEqual([text, ended.state, ended.exitCode], ['before\nafter\n', 'failed', 7]);
  });

  it('does so too when it is stopped in good order, and what ended meanwhile is told at the next start', async () => {
    const run = await start('meanwhile', {
      command: `echo before; until [ -e ${dir}/go2 ]; do sleep 0.05; done; echo after; : > ${dir}/ended2`,
    });
    await says(run, 'before');
    await down('SIGINT');
    const gone = spawn('/bin/sh', ['-c', `: > ${dir}/go2; until [ -e ${dir}/ended2 ]; do sleep 0.05; done`]);
    await new Promise((resolve) => gone.once('exit', resolve));
    await up();
    const { text, run: ended } = await end(run);
    assert.deepEqual([text, ended.state], ['before\nafter\n', 'succeeded']);
  });

  it('tells why an instant did not run', async () => {
    await ask('PUT', '/jobs/default/yearly', { command: 'x', schedule: '0 0 1 1 *' });
    const { state, sentence } = await ask('GET', '/why?job=yearly&instant=2026-07-01T00:00:00Z');
    assert.equal(state, 'no_instant');
    assert.match(sentence, /the next is/);
  });
});

it('says in one line that the disk is full, and ends', async () => {
  const full = mkdtempSync(join(tmpdir(), 'cronfleet-full-'));
  try {
    // What is written there finds no room, as on a full disk.
    symlinkSync('/dev/full', join(full, 'client.json.new'));
    const args = [main, 'up', '--data', full, '--listen', '127.0.0.1:0'];
    const ended = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /^cronfleet: --data \S+: its disk is full \(ENOSPC.*\); make room, .*\n$/);
  } finally {
    rmSync(full, { recursive: true });
  }
});
