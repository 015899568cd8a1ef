import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { putToken } from '#core/cluster/tokens.ts';
import { newAlert } from '#core/model/alert.ts';
import { HistoryError } from '#core/ports/history.ts';
import { KvError } from '#core/ports/kv.ts';
import { watch } from '#functions/watch.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { type Api, makeApp } from './make-app.ts';

let clock: VirtualClock;
let api: Api;
beforeEach(async () => {
  clock = new VirtualClock();
  api = await makeApp({ clock });
});
afterEach(() => api.close());

interface Item {
  code: string;
  level: string;
  what: string;
  advice: string;
}
async function findings(app = api): Promise<Item[]> {
  const { status, json } = await app.ask('GET', '/api/v1/findings');
  assert.equal(status, 200);
  return json.items;
}
const codes = async (app = api) => (await findings(app)).map(({ code, level }) => `${code} ${level}`).sort();
const load = (id: string, more: object = {}) =>
  api.history.saveLoad({
    ...{ id, at: clock.now(), running: 0, revision: '1000000', cpu: 0, memory: 0, clockSkewMs: 0 },
    ...more,
  });
const channel = { type: 'slack', url: 'https://hooks.example.org/x', on: ['worker_dead'] };
const well = async () => {
  await api.ask('PUT', '/api/v1/channels/ops', { body: channel });
  await api.registered('w1');
  await load('w1');
  await watch(api, []);
};
const save = (name: string, more: object = {}) =>
  api.ask('PUT', `/api/v1/jobs/default/${name}`, { body: { command: 'x', schedule: '* * * * *', ...more } });

describe('what is not as it should be', () => {
  it('is nothing where all is well', async () => {
    await well();
    assert.deepEqual(await findings(), []);
  });

  it('is that nobody looks, nobody is told and nobody works', async () => {
    await save('a');
    assert.deepEqual(await codes(), ['channels_none warning', 'watchdog_blind warning', 'worker_none error']);
    await well();
    await clock.advance(300_000);
    await load('w1');
    assert.ok(!(await codes()).includes('watchdog_blind error'));
    await clock.advance(1);
    const blind = (await findings()).find(({ code }) => code === 'watchdog_blind');
    assert.match(blind?.what ?? '', /^nobody has looked after the fleet since 2026-/);
    await api.ask('PUT', '/api/v1/channels/ops', { body: { ...channel, on: [] } });
    assert.ok((await codes()).includes('channels_deaf warning'));
  });

  it('is a job that is overdue, fits nobody, or can not be read', async () => {
    await well();
    await save('late');
    await save('elsewhere', { target: { labels: { zone: 'mars' } }, schedule: '@yearly' });
    const broken = api.layout.job('default/broken');
    await api.kv.txn({ compare: [], then: [{ type: 'put', key: broken, value: '{' }] });
    await clock.advance(120_000);
    await load('w1');
    await watch(api, []);
    const found = await findings();
    assert.deepEqual(found.map(({ code }) => code).sort(), ['job_unreadable', 'no_worker', 'overdue']);
    for (const [code, said] of [
      ['overdue', /^overdue: default\/late \(/],
      ['no_worker', /^no worker fits default\/elsewhere$/],
      ['job_unreadable', /jobs\/default\/broken/],
    ] as const)
      assert.match(found.find((one) => one.code === code)?.what ?? '', said);
  });

  it('is a job that stands still by a cursor of a clock that was ahead, with what to do', async () => {
    await well();
    await save('stopped');
    const key = api.layout.cursor('default/stopped', '~');
    const value = JSON.stringify({
      instant: clock.now() + 365 * 86_400_000,
      from: 'w9',
      why: 'run',
      run: null,
    });
    await api.kv.txn({ compare: [], then: [{ type: 'put', key, value }] });
    const [one, ...more] = await findings();
    assert.deepEqual([one?.code, one?.level, more], ['cursor_ahead', 'error', []]);
    assert.equal(one?.what, 'stand still: default/stopped');
    assert.ok(
      one?.advice.includes(`pause default/stopped, etcdctl del ${key}, cronfleet resume`),
      one?.advice,
    );
    await watch(api, []);
    const told = api.told.find(({ type }) => type === 'watchdog.overdue');
    assert.ok(told?.type === 'watchdog.overdue' && told.ahead !== null);
  });

  it('is a worker that is dead, silent, full, of another version, or behind', async () => {
    await well();
    await api.registered('silent');
    await api.registered('old', { version: '9' });
    await load('old', { spool: 0.6 });
    await load('gone');
    await load('left', { left: true });
    await api.holds('default~a~o~1', { worker: 'holder', at: clock.now() - 120_000 });
    await clock.advance(61_000);
    await load('w1', { revision: '1' });
    await load('old', { spool: 0.6 });
    await save('a', { schedule: null });
    await watch(api, []);
    assert.deepEqual(await codes(), [
      'spool_half_full error',
      'versions_differ warning',
      'worker_dead error',
      'worker_dead warning',
      'worker_silent warning',
    ]);
    await clock.advance(10_000);
    // Told ten seconds after a look had seen a change of a job: it has not heard of that.
    await load('w1', { revision: '1' });
    await load('old', { spool: 0.1 });
    const behind = (await findings()).find(({ code }) => code === 'worker_behind');
    assert.match(behind?.what ?? '', /^w1 stands at revision 1, and a job was changed at \d+$/);
    await load('w1');
    assert.ok(!(await codes()).includes('worker_behind error'));
  });

  it('is an alert that could not be delivered, with the channel and why', async () => {
    await well();
    const at = clock.now();
    const told = { by: null, tries: 1, problem: 'answered with HTTP 500', due: at + 1 };
    const alert = { id: 'a', kind: 'failed' as const, about: 'default/a', at, title: 't', to: ['ops'] };
    await api.history.addAlerts([newAlert({ ...alert, ...told })]);
    await api.history.addAlerts([newAlert({ ...alert, id: 'b', about: 'default/b' })]);
    const [untold, ...others] = await findings();
    assert.deepEqual([untold?.code, others], ['alerts_untold', []]);
    assert.match(untold?.what ?? '', /^1 alerts could not be delivered to ops: answered with HTTP 500$/);
  });

  it('is the first token, alone or left over', async () => {
    await well();
    await putToken(api.kv, api.layout, {
      ...{ id: 'f1', name: 'first', hash: 'x', role: 'admin', groups: null, createdAt: clock.now() },
      createdBy: 'settings',
    });
    const [first] = await findings();
    assert.deepEqual([first?.code, first?.advice], ['token_first', 'cronfleet token revoke f1']);
  });

  it("is the server's own clock, and what it sees of the stores", async () => {
    const message = 'etcd is out of space';
    const other = await makeApp({
      ...{ clock, skewMs: () => 700 },
      storeFindings: async () => [{ code: 'etcd_nospace', level: 'error', message }],
    });
    const found = await findings(other);
    assert.deepEqual(
      found.find(({ code }) => code === 'etcd_nospace'),
      { code: 'etcd_nospace', level: 'error', what: message, advice: '' },
    );
    assert.match(found.find(({ code }) => code === 'clock_skewed')?.what ?? '', /700 ms off/);
    await other.close();
  });

  it('is told as far as it can be seen, once, where a store is away', async () => {
    const away = () => Promise.reject(new HistoryError('unavailable', 'no route to host'));
    const history = Object.assign(Object.create(api.history), { alerts: away });
    const half = await makeApp({ clock, history });
    const found = await findings(half);
    const [one] = found.filter(({ code }) => code === 'history_away');
    assert.match(one?.what ?? '', /MongoDB does not answer the server: no route to host/);
    assert.ok(found.some(({ code }) => code === 'watchdog_blind'));
    await half.close();

    // Tokens are still known for some seconds.
    let gone = false;
    const blind = await makeApp({
      clock,
      around: (kv) => ({
        ...kv,
        txn: (txn) => kv.txn(txn),
        range: (range, options) =>
          gone ? Promise.reject(new KvError('unavailable', 'connection refused')) : kv.range(range, options),
      }),
    });
    await findings(blind);
    gone = true;
    const said = (await findings(blind)).filter(({ code }) => code === 'kv_away');
    assert.equal(said.length, 1);
    assert.match(said[0]?.what ?? '', /etcd does not answer the server: connection refused/);
    await blind.close();
  });

  it('is for who may see every group', async () => {
    const { status } = await api.ask('GET', '/api/v1/findings', { as: 'admin', groups: ['web'] });
    assert.equal(status, 403);
  });
});
