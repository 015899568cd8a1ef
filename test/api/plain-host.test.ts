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

describe('a log that is followed', () => {
  /** Somebody whose token can be taken away. */
  async function reader() {
    const { json } = await api.ask('POST', '/api/v1/tokens', { body: { name: 'eyes', role: 'viewer' } });
    const headers = { authorization: `Bearer ${json.token}` };
    return {
      read: (query: string, accept: string) =>
        api.request('GET', log(query), { as: null, headers: { ...headers, accept } }),
      revoke: () => api.ask('DELETE', `/api/v1/tokens/${json.id}`),
    };
  }

  it('is shown no further to whose token has been taken away', async () => {
    await api.ran({ id: run, state: 'running' });
    const { read, revoke } = await reader();
    const waited = read('?wait=20', 'application/json');
    const events = await read('', 'text/event-stream');
    const told = events.text();
    await clock.advance(6_000);
    await revoke();
    await api.said(run, 0, 'secret\n', 0);
    assert.equal((await waited).status, 401);
    await clock.advance(6_000);
    assert.match(await told, /event: refused\ndata: \{.*"code":"unauthorized"/);
    assert.doesNotMatch(await told, /secret/);
  });

  it('ends for whose token was taken away while nothing is said', async () => {
    await api.ran({ id: run, state: 'running' });
    const { read, revoke } = await reader();
    const told = (await read('', 'text/event-stream')).text();
    await clock.advance(1_000);
    await revoke();
    await clock.advance(6_000);
    assert.match(await told, /event: refused/);
  });

  it('is broken off, not ended, where the store fails in the middle', async () => {
    await api.ran({ id: run });
    await api.said(run, 0, 'x'.repeat(1_048_576), 0);
    await api.said(run, 1, 'y', 1_048_576);
    const whole = api.history.log.bind(api.history);
    let reads = 0;
    api.history.log = (...asked) => {
      reads += 1;
      return reads > 1 ? Promise.reject(new Error('store gone')) : whole(...asked);
    };
    const response = await api.request('GET', log(), { headers: { accept: 'text/plain' } });
    assert.equal(response.status, 200);
    await assert.rejects(response.text());
    api.history.log = whole;
    assert.ok(api.told.some((event) => event.type === 'http.fault'));
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
