import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { instantText } from '#core/model/ids.ts';
import { blankRun } from '#core/model/run.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { startProgram } from '#test/bench/program.ts';
import { until } from '#test/until.ts';
import { mongoForTests } from './server.ts';

const skip = process.platform === 'linux' ? false : 'agents run on Linux';
const pieceBytes = 65_536;

describe('Long output on MongoDB, by a real agent and the real API', { skip }, async () => {
  const server = await mongoForTests();
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-long-output-'));
  const { url: history } = server.database();
  const args = ['up', '--data', join(dir, 'data'), '--listen', '127.0.0.1:0', '--history', history];
  const program = startProgram(args, join(dir, 'log'));
  after(async () => {
    await program.end('SIGTERM');
    rmSync(dir, { recursive: true });
  });
  const { found } = await program.said(/(http:\S+)\/#token=(\S+)/);
  const [, url = '', token = ''] = found;
  await program.said(/"agent\.ready"/);

  const send = (method: string, path: string, body: object | null = null, accept = '*/*') =>
    fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept },
      ...(body === null ? {} : { body: JSON.stringify(body) }),
    });
  // Before the first answer of the history tells the time no job is taken: an agent waits for it for a second only.
  await until(
    'reference time to be known',
    async () =>
      (await (await send('PUT', '/jobs/default/old', { command: 'true' })).json()) as { code?: string },
    ({ code }) => code !== 'clock_skewed',
  );
  const request = async (...asked: Parameters<typeof send>) => {
    const response = await send(...asked);
    if (!response.ok)
      assert.fail(`${asked.slice(0, 2).join(' ')}: ${response.status} ${await response.text()}`);
    return response;
  };
  // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
  const ask = async (method: string, path: string, body: object | null = null): Promise<any> =>
    (await request(method, path, body)).json();

  /** Runs the job once, to its end. */
  async function ran(name: string, job: object): Promise<string> {
    await ask('PUT', `/jobs/default/${name}`, job);
    const { run } = await ask('POST', `/jobs/default/${name}/run`, {});
    let from = 0;
    await until(
      `${run} to end`,
      async () => {
        const page = await ask('GET', `/runs/${run}/log?from=${from}&wait=20`);
        from = page.next;
        return page;
      },
      ({ done }) => done,
    );
    return run;
  }

  it('beyond its limit is head and tail, with the exact count of what lies between, in pages and as a download', async () => {
    const max = 20_000;
    const run = await ran('long', { command: 'seq 1 200000', output: { max } });
    const printed = Array.from({ length: 200_000 }, (_, n) => `${n + 1}\n`).join('');
    const record = await ask('GET', `/runs/${run}`);
    assert.deepEqual([record.bytes, record.droppedBytes], [printed.length, printed.length - max]);
    let text = '';
    let dropped = 0;
    for (let from = 0; from < printed.length; ) {
      const page = await ask('GET', `/runs/${run}/log?from=${from}`);
      text += page.text;
      dropped += page.droppedBytes;
      assert.ok(page.next > from);
      from = page.next;
    }
    assert.deepEqual([text.length, dropped], [max, printed.length - max]);
    const head = [...text].findIndex((char, at) => char !== printed[at]);
    assert.ok(head > max / 4 && head < max, `${head}`);
    assert.equal(text.slice(head), printed.slice(printed.length - (max - head)));
    const raw = await request('GET', `/runs/${run}/log`, null, 'text/plain');
    assert.equal(await raw.text(), text);
  });

  it('is found by what it says, each line with its run, the newest run first', async () => {
    const runs: string[] = [];
    for (const n of [1, 2])
      runs.unshift(await ran('speaks', { command: `echo before; echo "needle ${n} €"; echo after` }));
    const { lines, complete } = await ask('GET', '/jobs/default/speaks/search?text=needle&days=1');
    assert.equal(complete, true);
    assert.deepEqual(
      lines.map(({ run, offset, line }: { run: string; offset: number; line: string }) => [
        run,
        offset,
        line,
      ]),
      runs.map((run, at) => [run, 7, `needle ${2 - at} €`]),
    );
    const none = await ask('GET', '/jobs/default/speaks/search?text=absent');
    assert.deepEqual(none, { lines: [], complete: true, next: null, reachedAt: null });
  });

  it('is searched within bounds, which are said: of bytes read, of lines found, of days', async () => {
    const clock = systemClock();
    const store = mongoHistory({ url: history, clock });
    const past = async (minutesAgo: number, pieces: number, line: string) => {
      const instant = Math.floor(clock.now() / 60_000 - minutesAgo) * 60_000;
      const id = `default~old~${instantText(instant)}~1`;
      const expireAt = clock.now() + 86_400_000;
      await store.saveRuns([
        blankRun({ id, group: 'default', name: 'old', state: 'succeeded', instant, expireAt }),
      ]);
      const data = Buffer.from(line.repeat(pieceBytes / line.length));
      for (let seq = 0; seq < pieces; seq += 16)
        await store.saveLogs(
          Array.from({ length: Math.min(16, pieces - seq) }, (_, n) => ({
            ...{ run: id, seq: seq + n, offset: (seq + n) * pieceBytes, data, at: instant, expireAt },
          })),
        );
      return id;
    };
    const found = async (query: string) => await ask('GET', `/jobs/default/old/search?${query}`);
    await past(3 * 24 * 60, 1, 'ancient\n');
    await past(20, 1, 'hay and a needle, 32 bytes long\n');
    const many = await found('text=needle');
    assert.deepEqual([many.lines.length, many.complete], [500, false]);
    assert.deepEqual((await found('text=ancient&days=2')).lines, []);
    assert.equal((await found('text=ancient&days=4')).lines.length, 500);
    // 65 MiB that came later: what lies behind them is not looked at.
    const newest = await past(10, 65 * 16, 'nothing in here, just 32 bytes.\n');
    const first = await found('text=needle');
    assert.deepEqual([first.lines.length, first.complete], [0, false]);
    assert.ok(newest.includes(first.reachedAt.replace(/[-:]/g, '')));
    // But by a second search.
    assert.equal((await found(`text=needle&cursor=${first.next}`)).lines.length, 500);
    const seen = await found('text=nothing');
    assert.equal(seen.lines.at(-1).run, newest);
    await store.close();
  });
});
