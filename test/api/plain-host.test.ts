import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { type Api, makeApp } from './make-app.ts';

const run = 'default~a~o1~1';
const log = (query = '') => `/api/v1/runs/${run}/log${query}`;

let api: Api;
let clock: VirtualClock;
beforeEach(async () => {
  clock = new VirtualClock();
  api = await makeApp({ clock });
  await api.ask('PUT', '/api/v1/jobs/default/a', { body: { command: 'x', schedule: '* * * * *' } });
});
afterEach(() => api.close());

// What needs a host that sends as it goes, sees who leaves and hands bytes over as they came: a server does, a gateway before a
// function does none of it. test/lambda runs all the other suites there.

describe("a run's log, from a host that streams", () => {
  it('is waited for in vain by who has gone', async () => {
    await api.ran({ id: run, state: 'running' });
    const gone = new AbortController();
    const asked = api.ask('GET', log('?wait=20'), { signal: gone.signal });
    await clock.advance(1);
    gone.abort();
    assert.equal((await asked).json.done, false);
  });

  it('comes as events as it grows, and goes on where a reader was cut off', async () => {
    await api.ran({ id: run, state: 'running' });
    await api.said(run, 0, 'one\n', 0);
    const accept = { accept: 'text/event-stream' };
    const response = await api.request('GET', log(), { headers: accept });
    const reading = response.text();
    await api.said(run, 1, 'two\n', 4);
    await api.ran({ id: run, state: 'succeeded' });
    const events = (await reading).trim().split('\n\n');
    assert.match(events.at(-1) ?? '', /^event: done/m);
    const texts = events.map((one) => JSON.parse(/^data: (.*)$/m.exec(one)?.[1] ?? '').text);
    assert.equal(texts.join(''), 'one\ntwo\n');
    const again = await api.request('GET', log(), { headers: { ...accept, 'last-event-id': '4' } });
    assert.match(await again.text(), /"text":"two\\n"/);
  });
});

describe('a request, as it came', () => {
  it('that is not UTF-8 is refused rather than mended', async () => {
    const body = new Uint8Array([
      ...new TextEncoder().encode('{"command":"'),
      0xff,
      ...new TextEncoder().encode('"}'),
    ]);
    assert.deepEqual(
      (await api.ask('PUT', '/api/v1/jobs/default/a', { body })).json.code,
      'encoding_invalid',
    );
    assert.equal((await api.ask('GET', '/api/v1/jobs?q=%ff')).status, 400);
    assert.equal((await api.ask('GET', '/api/v1/jobs?q=%E2%82%AC')).status, 200);
  });
});
