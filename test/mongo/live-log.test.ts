import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { blankRun } from '#core/model/run.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { makeApp } from '#test/api/make-app.ts';
import { within } from '#test/until.ts';
import { mongoForTests } from './server.ts';

const server = await mongoForTests();
const clock = systemClock();
/**
 * Far below what the reader asks to wait. That it looks every 250 ms, and so is half a second late at most where the machine is its own, is
 * asserted by virtual time (history.test.ts).
 */
const soonMs = 8_000;

describe('A log on MongoDB that another process writes', () => {
  const id = 'default~a~20261122T163500.000Z~1';
  /** `write` stands for the agent: it has a client of its own. */
  async function living(test: (api: Awaited<ReturnType<typeof makeApp>>, write: Write) => Promise<void>) {
    const { url } = server.database();
    const [history, agent] = [mongoHistory({ url, clock }), mongoHistory({ url, clock })];
    const api = await makeApp({ history });
    const record = blankRun({ id, group: 'default', name: 'a', state: 'running' });
    await agent.saveRuns([record]);
    let seq = 0;
    let offset = 0;
    await test(api, async (data, ended = false) => {
      const at = clock.now();
      const bytes = Buffer.from(data);
      await agent.saveLogs([{ run: id, seq, offset, data: bytes, at, expireAt: at + 86_400_000 }]);
      seq += 1;
      offset += bytes.length;
      if (ended) await agent.saveRuns([{ ...record, state: 'succeeded' }]);
    });
    await Promise.all([history.close(), agent.close(), api.close()]);
  }
  type Write = (data: string | Uint8Array, ended?: boolean) => Promise<void>;

  it('is there soon by long poll, characters whole, colours and returns as they came', async () => {
    await living(async (api, write) => {
      const euro = Buffer.from('€');
      const colours = '\x1b[31mred\x1b[0m 10%\r20%\n';
      const pieces = [
        colours,
        euro.subarray(0, 1),
        Buffer.concat([euro.subarray(1), Buffer.from([0xff, 10])]),
      ];
      let [text, from] = ['', 0];
      for (const [n, piece] of pieces.entries()) {
        const asked = api.ask('GET', `/api/v1/runs/${id}/log?from=${from}&wait=${n === 1 ? 0 : 20}`);
        const began = performance.now();
        await write(piece, n === 2);
        const { json } = await asked;
        if (n !== 1) assert.ok(performance.now() - began < soonMs, `${performance.now() - began} ms`);
        text += json.text;
        from = json.next;
      }
      assert.equal(text, `${colours}€\uFFFD\n`);
      const raw = await api.request('GET', `/api/v1/runs/${id}/log`, { headers: { accept: 'text/plain' } });
      assert.deepEqual(
        Buffer.from(await raw.arrayBuffer()),
        Buffer.concat([Buffer.from(colours), euro, Buffer.from([0xff, 10])]),
      );
    });
  });

  it('is there soon as events, to its end', async () => {
    await living(async (api, write) => {
      const response = await api.request('GET', `/api/v1/runs/${id}/log`, {
        headers: { accept: 'text/event-stream' },
      });
      const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
      let seen = '';
      const until = async (wanted: string) => {
        const read = async () => {
          while (!seen.includes(wanted)) seen += (await reader.read()).value ?? assert.fail(seen);
        };
        await within(wanted, read(), () => seen);
      };
      for (const n of [1, 2, 3]) {
        const began = performance.now();
        const shown = until(`line ${n}`);
        await write(`line ${n}\n`, n === 3);
        await shown;
        assert.ok(performance.now() - began < soonMs, `${performance.now() - began} ms`);
      }
      await until('event: done');
      await reader.cancel();
    });
  });
});
