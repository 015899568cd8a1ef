import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { HistoryError } from '#core/ports/history.ts';
import { keepWatching } from '#functions/alerts/keep-watching.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { commandLine } from './command-line.ts';
import { type Api, makeApp } from './make-app.ts';
import { switchedHistory } from './switched-history.ts';

const t0 = Date.UTC(2026, 10, 22, 16, 35);
const job = { command: 'echo hi', schedule: '*/5 * * * *' };
const lives = 'default~a~20261122T163000.000Z~1';
const refused = () => Promise.reject(new HistoryError('unavailable', 'connection refused'));
const silent = () => new Promise<never>(() => {});

describe('while the history is away', () => {
  let api: Api;
  let clock: VirtualClock;
  let store: ReturnType<typeof switchedHistory>;
  before(async () => {
    clock = new VirtualClock();
    const plain = await makeApp({ clock });
    store = switchedHistory(plain.history);
    api = await makeApp({ clock, history: store.history });
    for (const name of ['a', 'b', 'c']) await api.ask('PUT', `/api/v1/jobs/default/${name}`, { body: job });
    await api.registered('w1');
    await api.holds(lives, { instant: t0 - 300_000, trigger: 'schedule' });
    await plain.ran({ id: 'default~b~20261122T163000.000Z~1', state: 'failed', instant: t0 - 300_000 });
    await plain.history.saveLoad({
      ...{ id: 'w1', at: t0, running: 1, revision: '1', cpu: 0, memory: 0, clockSkewMs: 0 },
      ...{ spool: 0, left: false },
    });
  });
  after(() => api.close());

  it('jobs are listed, and each says what is left out of it', async () => {
    const list = async () => (await api.ask('GET', '/api/v1/jobs')).json.items;
    const [a, b] = await list();
    assert.deepEqual([a.away, b.away, b.last.state], [[], [], 'failed']);
    store.set(refused);
    const items = await list();
    assert.equal(items.length, 3);
    for (const one of items) assert.deepEqual([one.away, one.last, one.next.length], [['history'], null, 3]);
    assert.deepEqual(items[0].running[0].id, lives);
  });

  it('a job is shown, its runs that live and wait can be seen, and an instant to come is explained', async () => {
    store.set(refused);
    const one = await api.ask('GET', '/api/v1/jobs/default/a');
    assert.deepEqual(
      [one.status, one.json.away, one.json.last, one.json.running.length],
      [200, ['history'], null, 1],
    );
    assert.equal((await api.ask('GET', `/api/v1/runs/${lives}`)).json.state, 'claimed');
    const why = (at: number) =>
      api.ask('GET', `/api/v1/why?job=a&instant=${new Date(at).toISOString()}`).then(({ json }) => json);
    assert.equal((await why(t0 + 300_000)).state, 'coming');
    const past = await why(t0 - 3_600_000);
    assert.deepEqual([past.state, past.away], ['unknown', ['history']]);
    assert.match(past.sentence, /history does not answer/);
    assert.ok(past.evidence.some(({ source }: { source: string }) => source === 'history'));
  });

  it('workers are listed without their load, and what is asked of one is answered as done', async () => {
    store.set(null);
    const full = (await api.ask('GET', '/api/v1/workers')).json;
    assert.deepEqual([full.away, full.items[0].running], [[], 1]);
    store.set(refused);
    const { items, away } = (await api.ask('GET', '/api/v1/workers')).json;
    assert.deepEqual([away, items.length, items[0].state, items[0].running], [['history'], 1, 'live', null]);
    assert.equal((await api.ask('POST', '/api/v1/workers/w1/drain', { body: {} })).json.state, 'draining');
    assert.equal((await api.ask('POST', '/api/v1/workers/w1/undrain', { body: {} })).json.state, 'live');
  });

  it('health says since when and why, by codes alone, and only to who has a token', async () => {
    const health = async (as: 'viewer' | null = 'viewer') =>
      (await api.ask('GET', '/api/v1/health', { as })).json;
    store.set(null);
    assert.deepEqual((await health()).away, {});
    const since = new Date(clock.now()).toISOString();
    const text = 'mongodb://me@10.0.0.4: connect ECONNREFUSED 10.0.0.4:27017';
    store.set(() => Promise.reject(new HistoryError('unavailable', text)));
    assert.deepEqual((await health()).away, { history: { since, why: 'unavailable (ECONNREFUSED)' } });
    await clock.advance(60_000);
    store.set(silent);
    const answer = health();
    await clock.until(answer);
    assert.deepEqual((await answer).away, { history: { since, why: 'no answer within 5 s' } });
    store.set(refused);
    assert.deepEqual(await health(null), { status: 'degraded' });
    store.set(null);
    assert.deepEqual((await health()).away, {});
  });

  it('what only it knows is refused by name, not told as if there were none', async () => {
    store.set(refused);
    const failed = await api.ask('GET', '/api/v1/jobs?state=failed');
    assert.deepEqual([failed.status, failed.json.code], [503, 'store_unavailable']);
    assert.match(failed.json.detail, /^state: the history does not answer/);
    for (const path of ['/runs', '/stats', '/alerts', '/runs/default~b~20261122T163000.000Z~1'])
      assert.equal((await api.ask('GET', `/api/v1${path}`)).status, 503, path);
  });

  it('the command line lists jobs and workers, and says what is not known', async () => {
    store.set(refused);
    const jobs = await commandLine(api, 'ls');
    assert.equal(jobs.code, 0);
    assert.match(jobs.out, /^b +\*\/5 \* \* \* \* +\S+ \S+ +\? /m);
    assert.match(jobs.notes, /^the history does not answer the server at the moment: how jobs last ended/);
    const workers = await commandLine(api, 'workers');
    assert.match(workers.out, /^w1 +live/m);
    assert.match(workers.notes, /load figures/);
    const log = await commandLine(api, 'logs', 'b');
    assert.equal(log.code, 3);
    assert.match(log.notes, /the history knows, and it does not answer/);
    store.set(null);
    assert.equal((await commandLine(api, 'ls')).notes, '');
  });

  it('living runs are killed by the name of their job, the way of the course', async () => {
    store.set(refused);
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const done = await api.ask('POST', '/job/kill', { body: 'name=a', headers: form });
    assert.equal(done.json.errno, 0);
    store.set(null);
    assert.equal((await api.ask('GET', `/api/v1/runs/${lives}`)).json.kill.by, 'admin');
  });

  it('the watchdog says so once, whichever of its turns asks, and once that it answers again', async () => {
    const from = api.told.length;
    const said = () =>
      api.told.slice(from).filter(({ type }) => type === 'server.fault' || /^store\.(away|back)$/.test(type));
    const stop = new AbortController();
    const { kv, layout, ids, events } = api;
    store.set(refused);
    const watching = keepWatching(
      { kv, layout, history: store.history, clock, ids, events, fetch: () => assert.fail() },
      stop.signal,
    );
    await clock.advance(61_000);
    const away = { type: 'store.away', store: 'history', message: 'connection refused' };
    assert.deepEqual(said(), [away]);
    store.set(null);
    await clock.advance(61_000);
    assert.deepEqual(said(), [away, { type: 'store.back', store: 'history' }]);
    stop.abort();
    await clock.until(watching);
  });

  it('and says nothing, a list of many pages waits for it once', async () => {
    for (let i = 0; i < 250; i += 1)
      await api.ask('PUT', `/api/v1/jobs/many/j${i}`, { body: { ...job, tags: i % 100 === 0 ? ['x'] : [] } });
    store.set(silent);
    store.asked();
    const from = clock.boot();
    const answer = api.ask('GET', '/api/v1/jobs?tag=x');
    await clock.until(answer);
    assert.equal((await answer).json.items.length, 3);
    assert.equal(store.asked(), 1);
    assert.ok(clock.boot() - from <= 2_000, `${clock.boot() - from} ms`);
  });
});
