import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Document, Long } from 'mongodb';
import { type Program, startProgram } from '#test/bench/program.ts';
import { until } from '#test/until.ts';
import { fakeServer, hello } from './fake-server.ts';
import { mongoForTests } from './server.ts';

const skip = process.platform === 'linux' ? false : 'agents run on Linux';
const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
const hourMs = 3_600_000;

const isHello = (command: Document) => ['hello', 'ismaster', 'isMaster'].some((name) => name in command);

/** A history with a fault, in which nothing is stored; each with what is said of it. */
const faults: {
  name: string;
  answer(command: Document, url: string): Document | null;
  code: string;
  doctor: RegExp;
  /** Whether jobs run all the same. */
  runs: boolean;
}[] = [
  {
    name: 'whose disk is full',
    answer: (command) =>
      'insert' in command || 'update' in command
        ? { ok: 0, code: 14031, codeName: 'OutOfDiskSpace', errmsg: 'No space left on device' }
        : null,
    code: 'history_disk_full',
    doctor: /BAD .*its disk is full/,
    runs: true,
  },
  {
    name: 'too old to be spoken to',
    answer: (command, url) => (isHello(command) ? hello(url, { maxWireVersion: 6 }) : null),
    code: 'history_version_old',
    doctor: /BAD .*MongoDB 4\.4 is the oldest/,
    runs: true,
  },
  {
    name: 'whose clock is an hour off',
    answer: (command, url) =>
      isHello(command) ? hello(url, { localTime: new Date(Date.now() - hourMs) }) : null,
    code: 'history_clock_skewed',
    doctor: /BAD .*60 min ahead.*nothing is claimed/,
    runs: false,
  },
];

describe('One machine on a history', { skip }, async () => {
  const server = await mongoForTests();

  for (const { name, answer, code, doctor, runs } of faults)
    it(`${name} says so at its start and by doctor, and loses nothing`, async (t) => {
      const dir = mkdtempSync(join(tmpdir(), 'cronfleet-bad-history-'));
      const programs: Program[] = [];
      let url = '';
      const fake = await fakeServer((command) => {
        const said = answer(command, url);
        if (said !== null) return said;
        if (isHello(command)) return hello(url);
        if ('buildInfo' in command) return { ok: 1, version: '8.0.0' };
        if ('find' in command) {
          const firstBatch = command.find === 'meta' ? [{ _id: 'layout', v: 2 }] : [];
          return { ok: 1, cursor: { id: Long.ZERO, ns: 'x.x', firstBatch } };
        }
        return { ok: 1, n: 1, nModified: 1 };
      });
      url = fake.url;
      t.after(async () => {
        await Promise.all(programs.map((program) => program.end('SIGKILL')));
        await fake.close();
        rmSync(dir, { recursive: true, force: true });
      });
      const data = join(dir, 'data');
      let lives = 0;
      const up = async (history: string) => {
        const args = ['up', '--data', data, '--listen', '127.0.0.1:0', '--history', history];
        const program = startProgram(args, join(dir, `log-${++lives}`));
        programs.push(program);
        const { found } = await program.said(/(http:\S+)\/#token=(\S+)/);
        // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
        const ask = async (method: string, path: string, body?: object): Promise<any> => {
          const response = await fetch(`${found[1]}/api/v1${path}`, {
            method,
            headers: { authorization: `Bearer ${found[2]}`, 'content-type': 'application/json' },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          });
          return await response.json();
        };
        return { ...program, ask };
      };
      const trace = join(dir, 'trace');

      // While it was well: with a history that tells no time, nothing that sets a floor is taken.
      const { url: well } = server.database();
      const before = await up(well);
      // Until the first answer of the history is there.
      const job = { command: `echo heard; touch ${trace}` };
      await until(
        'reference time to be known',
        () => before.ask('PUT', '/jobs/default/a', job),
        ({ code }) => code !== 'clock_skewed',
      );
      await before.end('SIGTERM');
      programs.length = 0;

      const bad = await up(`${url}/x`);
      await bad.said(new RegExp(`"code":"${code}"`));
      const taken = await bad.ask('POST', '/jobs/default/a/run', {});
      const { run } = taken;
      assert.ok(run, JSON.stringify(taken));
      if (runs) await bad.said(new RegExp(`"run":"${run}","state":"succeeded"`));
      assert.match(await doctored(data, `${url}/x`), doctor);
      await bad.end('SIGTERM');
      programs.length = 0;
      assert.equal(existsSync(trace), runs);

      const good = await up(well);
      // The record may be owed still, and stand in the store of jobs.
      await until(
        'the output of the run',
        () => good.ask('GET', `/runs/${run}/log?wait=1`),
        ({ text }) => text === 'heard\n',
      );
      // What it says is there before it has ended.
      const { state } = await until(
        'the end of the run',
        () => good.ask('GET', `/runs/${run}`),
        ({ state }) => !['waiting', 'claimed', 'running'].includes(state),
      );
      assert.equal(state, 'succeeded');
      await good.end('SIGTERM');
      programs.length = 0;
    });
});

async function doctored(data: string, history: string): Promise<string> {
  const args = [main, 'doctor', '--data', data, '--history', history];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (piece) => {
    said += piece;
  });
  await once(child, 'close');
  return said;
}
