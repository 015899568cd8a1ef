import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { payAudits } from '#core/cluster/audits.ts';
import { instantText } from '#core/model/ids.ts';
import { type History, HistoryError } from '#core/ports/history.ts';
import { prefixRange } from '#core/ports/kv.ts';
import { routesOf } from '#functions/app.ts';
import { pathOf } from '#functions/route.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { type Api, type How, makeApp } from './make-app.ts';
import { switchedHistory } from './switched-history.ts';

const hour = 3_600_000;
const job = { command: 'x', schedule: '0 * * * *' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };
/** An hour's beginning that is still to come when it is asked for, however long that takes. */
const comingHour = () => new Date((Math.ceil(Date.now() / hour) + 1) * hour).toISOString();
const channel = { type: 'slack', url: 'http://127.0.0.1:1/x' };

/** What asks a route for a change: its path, and with what. `what`: how the audit calls it. */
interface Change extends How {
  path: string;
  what: string;
  /** Whether there was something before, and is something after. */
  before: boolean;
  after: boolean;
}

/** Of every route that is no GET a change that is really one. Its key is method and path as the routes have them. */
const changes: Record<string, (api: Api) => Promise<Change> | Change> = {
  'PUT /jobs/:group/:name': () => ({
    ...{ path: '/jobs/g/a', body: { ...job, command: 'y' }, what: 'job.update', before: true, after: true },
  }),
  'DELETE /jobs/:group/:name': () => ({ path: '/jobs/g/a', what: 'job.delete', before: true, after: false }),
  'POST /jobs/:group/:name/run': () => ({
    ...{ path: '/jobs/g/a/run', body: {}, what: 'job.run', before: false, after: true },
  }),
  'POST /jobs/:group/:name/pause': () => ({
    ...{ path: '/jobs/g/a/pause', body: { reason: 'r' }, what: 'job.pause', before: false, after: true },
  }),
  'POST /jobs/:group/:name/resume': async (api) => {
    await api.ask('POST', '/api/v1/jobs/g/a/pause', { body: {} });
    return { path: '/jobs/g/a/resume', body: {}, what: 'job.resume', before: true, after: false };
  },
  'POST /jobs/:group/:name/skip': () => ({
    ...{
      path: '/jobs/g/a/skip',
      body: { instant: comingHour() },
      what: 'job.skip',
      before: true,
      after: true,
    },
  }),
  'POST /jobs/:group/:name/backfill': () => ({
    path: '/jobs/g/a/backfill',
    body: { from: new Date(Date.now() - 3 * hour).toISOString(), to: new Date().toISOString() },
    ...{ what: 'job.backfill', before: false, after: true },
  }),
  'POST /apply': () => ({
    path: '/apply',
    body: { jobs: [{ group: 'g', name: 'b', command: 'x' }] },
    ...{ what: 'job.create', before: false, after: true },
  }),
  'POST /runs/:run/kill': async (api) => {
    const run = `g~a~${instantText(Date.now())}~1`;
    await api.holds(run);
    return { path: `/runs/${run}/kill`, body: {}, what: 'run.kill', before: false, after: false };
  },
  'POST /workers/:id/drain': () => ({
    ...{ path: '/workers/w1/drain', body: {}, what: 'worker.drain', before: false, after: true },
  }),
  'POST /workers/:id/undrain': async (api) => {
    await api.ask('POST', '/api/v1/workers/w1/drain', { body: {} });
    return { path: '/workers/w1/undrain', body: {}, what: 'worker.undrain', before: true, after: false };
  },
  'POST /tokens': () => ({
    path: '/tokens',
    body: { name: 'x', role: 'viewer' },
    ...{ what: 'token.create', before: false, after: true },
  }),
  'DELETE /tokens/:id': async (api) => {
    const made = await api.ask('POST', '/api/v1/tokens', { body: { name: 'y', role: 'viewer' } });
    return { path: `/tokens/${made.json.id}`, what: 'token.revoke', before: true, after: false };
  },
  'PUT /channels/:name': () => ({
    ...{ path: '/channels/c', body: channel, what: 'channel.save', before: true, after: true },
  }),
  'DELETE /channels/:name': () => ({
    path: '/channels/c',
    what: 'channel.delete',
    before: true,
    after: false,
  }),
  'POST /channels/:name/test': () => ({
    ...{ path: '/channels/c/test', body: {}, what: 'channel.test', before: false, after: false },
  }),
  'POST /job/save': () => ({
    path: '/job/save',
    headers: form,
    body: `job=${encodeURIComponent(JSON.stringify({ name: 'n', command: 'x', cronExpr: '* * * * *' }))}`,
    ...{ what: 'job.create', before: false, after: true },
  }),
  'POST /job/delete': async (api) => {
    await api.ask('PUT', '/api/v1/jobs/default/d', { body: job });
    return {
      ...{ path: '/job/delete', headers: form, body: 'name=d' },
      ...{ what: 'job.delete', before: true, after: false },
    };
  },
  'POST /job/kill': async (api) => {
    await api.ask('PUT', '/api/v1/jobs/default/k', { body: job });
    await api.holds(`default~k~${instantText(Date.now())}~1`);
    return {
      ...{ path: '/job/kill', headers: form, body: 'name=k' },
      ...{ what: 'run.kill', before: false, after: false },
    };
  },
};

describe('the audit tells who did what, when, by which request, and what was before and after', () => {
  let api: Api;
  before(async () => {
    api = await makeApp();
    await api.registered('w1');
  });
  after(() => api.close());

  for (const route of routesOf(() => {}).filter(({ method }) => method !== 'GET')) {
    const name = `${route.method} ${route.path}`;
    it(name, async () => {
      await api.ask('PUT', '/api/v1/jobs/g/a', { body: job });
      await api.ask('PUT', '/api/v1/channels/c', { body: channel });
      const change = await (changes[name] ?? assert.fail(`${name}: what it changes is not in this file`))(
        api,
      );
      const from = Date.now();
      const path = pathOf({ ...route, path: change.path });
      const { status, headers, text } = await api.ask(route.method, path, change);
      assert.ok(status < 300, `${status} ${text}`);
      const { items } = (await api.ask('GET', '/api/v1/audit?limit=500')).json;
      const own = items.filter(
        ({ requestId }: { requestId: string }) => requestId === headers.get('x-request-id'),
      );
      assert.equal(own.length, 1, JSON.stringify(own));
      const [entry] = own;
      assert.deepEqual([entry.what, entry.who], [change.what, 'admin']);
      assert.ok(Date.parse(entry.at) >= from && Date.parse(entry.at) <= Date.now());
      assert.notEqual(entry.target, '');
      assert.deepEqual([entry.before !== null, entry.after !== null], [change.before, change.after]);
    });
  }
});

describe('while the history is away', () => {
  let api: Api;
  let clock: VirtualClock;
  let history: History;
  let store: ReturnType<typeof switchedHistory>;
  const refused = () => Promise.reject(new HistoryError('unavailable', 'connection refused'));
  const paused = () => new Promise<never>(() => {});
  before(async () => {
    clock = new VirtualClock();
    const plain = await makeApp({ clock });
    store = switchedHistory(plain.history);
    ({ history } = store);
    api = await makeApp({ clock, history });
  });
  after(() => api.close());
  const pay = () => payAudits({ ...api, history });
  const owed = async () => (await api.kv.range(prefixRange(api.layout.audits))).count;
  const audits = async () => (await api.ask('GET', '/api/v1/audit?limit=500')).json.items;

  it('a change is answered as one that was made, and its audit comes later: nothing of it is lost', async () => {
    store.set(refused);
    assert.equal((await api.ask('PUT', '/api/v1/jobs/g/a', { body: job })).status, 201);
    assert.equal((await api.ask('POST', '/api/v1/jobs/g/a/pause', { body: {} })).status, 200);
    assert.equal((await api.ask('PUT', '/api/v1/channels/c', { body: channel })).status, 201);
    assert.equal(await owed(), 3);
    await assert.rejects(pay());
    assert.equal(await owed(), 3);
    store.set(null);
    await Promise.all([pay(), pay()]);
    assert.equal(await owed(), 0);
    const entries: { what: string; who: string; after: { command: string } }[] = await audits();
    assert.deepEqual(entries.map(({ what }) => what).sort(), ['channel.save', 'job.create', 'job.pause']);
    const made = entries.find(({ what }) => what === 'job.create');
    assert.deepEqual([made?.after.command, made?.who], ['x', 'admin']);
  });

  it('an entry that it will never take holds up nothing behind it, and stays where it is', async () => {
    store.set(refused);
    for (const name of ['x', 'y', 'z'])
      assert.equal((await api.ask('PUT', `/api/v1/channels/${name}`, { body: channel })).status, 201);
    store.set(null);
    const [bad] = (await api.kv.range(prefixRange(api.layout.audits))).entries;
    const picky = new Proxy(history, {
      get: (held, name) =>
        name === 'addAudit'
          ? (entry: { id: string }) =>
              bad?.key === api.layout.audit(entry.id)
                ? Promise.reject(new HistoryError('unfit', 'no'))
                : held.addAudit(entry as never)
          : Reflect.get(held, name),
    });
    await payAudits({ ...api, history: picky });
    assert.equal(await owed(), 1);
    await pay();
    assert.equal(await owed(), 0);
  });

  it('a request that changes much waits no longer for it than one that changes little', async () => {
    const jobs = Array.from({ length: 20 }, (_, n) => ({ group: 'many', name: `j${n}`, command: 'x' }));
    store.set(paused);
    const from = clock.boot();
    const answer = api.ask('POST', '/api/v1/apply', { body: { jobs } });
    await clock.until(answer);
    assert.equal((await answer).status, 200);
    assert.ok(clock.boot() - from <= 2_000, `${clock.boot() - from} ms`);
    assert.equal(await owed(), 20);
    store.set(null);
    await pay();
    assert.equal((await audits()).length, 26);
  });

  it('an edit settles what was due, and says why; that comes to it at once, or stays until it can', async () => {
    const minute = 60_000;
    const path = '/api/v1/jobs/g/due';
    const waiting = async () => (await api.kv.range(prefixRange(api.layout.owed))).count;
    const due = (n: number) => new Date(Math.ceil(clock.now() / minute) * minute - n * minute).toISOString();
    const why = async (instant: string) =>
      (await api.ask('GET', `/api/v1/why?job=g/due&instant=${instant}`)).json;
    await api.ask('PUT', path, { body: { ...job, schedule: '* * * * *' } });
    await clock.advance(3 * minute);
    await api.ask('PUT', path, { body: { ...job, schedule: '30 * * * *' } });
    assert.equal(await waiting(), 0);
    const edited = await why(due(2));
    assert.deepEqual([edited.state, edited.run?.slice(0, 6)], ['skipped', 'g~due~']);
    assert.match(edited.sentence, /one of 3 instants.* skipped: edited/);
    await api.ask('PUT', path, { body: { ...job, schedule: '* * * * *' } });
    await clock.advance(2 * minute);
    for (const how of [refused, paused]) {
      store.set(how);
      const answer = api.ask('DELETE', path);
      await clock.until(answer);
      assert.equal((await answer).status, 200);
      store.set(null);
      assert.match((await why(due(1))).sentence, /one of 2 instants.* skipped: deleted/);
      assert.equal(await waiting(), how === refused ? 1 : 2);
      await api.ask('PUT', path, { body: { ...job, schedule: '* * * * *' } });
      await clock.advance(2 * minute);
    }
    await api.ask('DELETE', path);
    assert.equal(await waiting(), 2);
  });
});
