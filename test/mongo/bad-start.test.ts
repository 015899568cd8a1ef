import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { MongoClient } from 'mongodb';
import { type MongoServer, startMongo } from '#infra/mongo/start-server.ts';
import { until, within } from '#test/until.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
const skip = process.platform === 'linux' ? false : 'agents run on Linux';

describe('One machine on a history that does not take what it writes', { skip }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-bad-start-'));
  const data = join(dir, 'data');
  const folder = join(dir, 'mongo');
  const started: MongoServer[] = [];
  let process_: ChildProcess | null = null;
  after(async () => {
    await down();
    for (const one of started) await one.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const open = await startMongo({ folder });
  if ('missing' in open) throw new Error(open.missing);
  started.push(open);
  const admin = new MongoClient(open.url);
  for (const [name, role] of [
    ['reader', 'read'],
    ['writer', 'readWrite'],
  ])
    await admin.db('x').command({ createUser: name, pwd: 'good', roles: [{ role, db: 'x' }] });
  await admin.close();
  await open.stop();
  const locked = await startMongo({ folder, auth: true });
  if ('missing' in locked) throw new Error(locked.missing);
  started.push(locked);
  const as = (who: string) => `${locked.url.replace('//', `//${who}@`)}/x?authSource=x`;

  let said = '';
  let url = '';
  let token = '';
  async function up(history: string): Promise<void> {
    said = '';
    const args = ['up', '--data', data, '--listen', '127.0.0.1:0', '--history', history];
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    process_ = child;
    child.stderr.on('data', (piece) => {
      said += piece;
    });
    const [line] = await within('it to be up', once(child.stdout, 'data'), () => said);
    [, url = '', token = ''] = /(http:\S+)\/#token=(\S+)/.exec(String(line)) ?? [];
  }
  async function down(): Promise<void> {
    const child = process_;
    process_ = null;
    if (child === null) return;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await within('its end by SIGTERM', gone, () => said);
  }
  async function says(wanted: RegExp): Promise<void> {
    await until(
      `it to say ${wanted}`,
      () => {
        const { exitCode = null } = process_ ?? {};
        assert.ok(exitCode === null || wanted.test(said), `ended with ${exitCode}: ${said}`);
        return said;
      },
      (text) => wanted.test(text),
    );
  }
  // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
  async function ask(method: string, path: string, body?: object): Promise<any> {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return await response.json();
  }

  it('says so at its start, runs its jobs, and brings what they left when it may write', async () => {
    await up(as('reader:good'));
    await says(/"code":"history_read_only"/);
    assert.match(said, /store\.finding/);
    assert.doesNotMatch(said, /reader:good/);
    const trace = join(dir, 'trace');
    // Before the first answer of the history tells the time no job is taken.
    await until(
      'reference time to be known',
      () => ask('PUT', '/jobs/default/a', { command: `echo heard; touch ${trace}` }),
      ({ code }) => code !== 'clock_skewed',
    );
    const { run } = await ask('POST', '/jobs/default/a/run', {});
    await says(new RegExp(`"run":"${run}","state":"succeeded"`));
    assert.ok(existsSync(trace));
    await down();

    await up(as('writer:good'));
    await until(
      'the record of the run',
      () => ask('GET', `/runs/${run}`),
      ({ state }) => state === 'succeeded',
    );
    assert.equal((await ask('GET', `/runs/${run}/log`)).text, 'heard\n');
    assert.doesNotMatch(said, /store\.finding/);
    await down();
  });

  it('says in one line at its start that none answers, where and what to look at', async () => {
    await up('mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=300');
    await says(/store\.away/);
    await says(/"code":"history_unreachable"/);
    const lines = said.split('\n').filter((line) => /"level":50.*mongodb:/.test(line));
    assert.equal(lines.length, 1, said);
    assert.match(
      lines[0] ?? '',
      /"message":"history mongodb:\/\/127\.0\.0\.1:1\/x: .*Is the address right, is the server up/,
    );
    assert.doesNotMatch(said, /"stack"/);
    await down();
  });

  it('is told of by doctor, with what to do', async () => {
    const found = async (history: string) => {
      const child = spawn(process.execPath, [main, 'doctor', '--data', data, '--history', history], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let out = '';
      child.stdout.on('data', (piece) => {
        out += piece;
      });
      await once(child, 'close');
      return out;
    };
    const [reader, writer, wrong, away] = await Promise.all(
      [
        as('reader:good'),
        as('writer:good'),
        as('writer:bad'),
        'mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=300',
      ].map(found),
    );
    assert.match(reader ?? '', /BAD .*readWrite/);
    assert.match(writer ?? '', /ok {3}the stores of the settings here are well/);
    assert.match(wrong ?? '', /BAD .*password/);
    assert.match(away ?? '', /BAD .*records wait on the workers/);
  });
});
