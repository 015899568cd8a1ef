import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { effort } from '#test/effort.ts';
import type { RunningFunction } from '#test/lambda/function.ts';
import { until } from '#test/until.ts';
import { deployment, firstToken, settingsPath } from './deployment.ts';
import { startLine } from './line.ts';

const cloud = await deployment();
cloud.set('first-token', firstToken);

const headers = { authorization: `Bearer ${firstToken}`, 'content-type': 'application/json' };
const job = JSON.stringify({ command: 'x', schedule: '*/5 * * * *' });
async function ask(to: RunningFunction, method: string, path: string, more: RequestInit = {}) {
  const response = await to.request(
    new Request(`https://x/api/v1${path}`, { method, ...more, headers: { ...headers, ...more.headers } }),
  );
  // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
  const json: any = await response.json();
  return { status: response.status, json };
}
const ordersOf = async (name: string) =>
  (await cloud.kv.range({ key: `/cron/orders/default/${name}/`, end: `/cron/orders/default/${name}0` }))
    .count;

describe('the functions in their cloud', () => {
  it('take the first token over, where there is none, and let its bearer in', async () => {
    const api = await cloud.start();
    assert.deepEqual((await ask(api, 'GET', '/me')).json.role, 'admin');
    assert.equal((await ask(api, 'GET', '/health')).json.stores.history, 'ok');
    // Settings lie on two pages; nobody asked for them twice.
    assert.equal(cloud.parameters.asked, 2);
  });

  it('do once what was delivered twice, and what two of them were told at once', async () => {
    const [one, other] = [await cloud.start(), await cloud.start()];
    assert.equal((await ask(one, 'PUT', '/jobs/default/twice', { body: job })).status, 201);
    const run = (to: RunningFunction, key: string) =>
      ask(to, 'POST', '/jobs/default/twice/run', { headers: { 'idempotency-key': key } });
    const [first, again] = [await run(one, 'k1'), await run(one, 'k1')];
    assert.deepEqual([first.status, again.json], [202, first.json]);
    const both = await Promise.all([run(one, 'k2'), run(other, 'k2'), run(one, 'k3'), run(other, 'k3')]);
    assert.deepEqual(both[0]?.json, both[1]?.json);
    assert.deepEqual(both[2]?.json, both[3]?.json);
    assert.equal(await ordersOf('twice'), 3);
    const saves = await Promise.all(
      [one, other, one, other].map((to) => ask(to, 'PUT', '/jobs/default/once', { body: job })),
    );
    assert.deepEqual(saves.map(({ status }) => status).sort(), [200, 200, 200, 201]);
  });

  it('are told what can not be read, and answer when it can', async () => {
    cloud.parameters.denied = true;
    const api = await cloud.start();
    const denied = await ask(api, 'GET', '/me');
    assert.deepEqual([denied.status, denied.json.code], [503, 'settings_unreadable']);
    assert.match(denied.json.detail, /may not; expected ssm:GetParametersByPath on \/cronfleet\/test/);
    cloud.parameters.denied = false;
    const history = cloud.parameters.values.get('/cronfleet/test/history') ?? '';
    cloud.set('history', 'none');
    const missing = await ask(api, 'GET', '/me');
    assert.deepEqual([missing.status, missing.json.code], [503, 'settings_invalid']);
    assert.match(missing.json.detail, /\/cronfleet\/test\/history is missing; expected mongodb/);
    cloud.set('history', history);
    assert.equal((await ask(api, 'GET', '/me')).status, 200);
  });

  it('go on with a password that was changed, without a deploy', async () => {
    const { endpoints, programs } = cloud.cluster;
    const etcdctl = (user: string | null, input: string, ...args: string[]) =>
      execFileSync(
        programs.etcdctl,
        [`--endpoints=${endpoints}`, ...(user === null ? [] : [`--user=${user}`]), ...args],
        { input, env: { PATH: process.env.PATH ?? '', ETCDCTL_API: '3' }, stdio: 'pipe' },
      );
    const before = cloud.parameters.values.get(`${settingsPath}/kv`) ?? '';
    etcdctl(null, '', 'user', 'add', 'root:old');
    etcdctl(null, '', 'user', 'grant-role', 'root', 'root');
    etcdctl(null, '', 'auth', 'enable');
    let password = 'old';
    try {
      cloud.set('kv', `etcd://root:old@${endpoints}`);
      const api = await cloud.start();
      assert.equal((await ask(api, 'GET', '/me')).status, 200, api.log());
      etcdctl('root:old', 'new\n', 'user', 'passwd', 'root', '--interactive=false');
      password = 'new';
      cloud.set('kv', `etcd://root:new@${endpoints}`);
      // For two seconds after a reading nobody asks again: then, long before the settings are old, the new one holds.
      const seen = new Set<number>();
      const began = performance.now();
      const asked = async () => seen.add((await ask(api, 'GET', '/jobs')).status);
      await until('the new password to hold', asked, () => seen.has(200));
      assert.ok(performance.now() - began < 45_000, 'it was not read again before it was old');
      assert.deepEqual(
        [...seen].filter((status) => status !== 503),
        [200],
        api.log(),
      );
      assert.match(api.log(), /"settings.changed"/);
    } finally {
      etcdctl(`root:${password}`, '', 'auth', 'disable');
      cloud.set('kv', before);
    }
  });

  it('are frozen and thawed, and nobody is told of a connection that was cut meanwhile', async () => {
    const etcd = await startLine(cloud.cluster.endpoints);
    const mongo = await startLine(new URL(cloud.database.url).host);
    const [kv, history] = ['kv', 'history'].map(
      (name) => cloud.parameters.values.get(`${settingsPath}/${name}`) ?? '',
    );
    try {
      cloud.set('kv', `etcd://${etcd.endpoint}`);
      const through = new URL(cloud.database.url);
      through.host = mongo.endpoint;
      through.searchParams.set('directConnection', 'true');
      cloud.set('history', through.href);
      const api = await cloud.start();
      assert.equal((await ask(api, 'PUT', '/jobs/default/frozen', { body: job })).status, 201, api.log());
      api.freeze();
      etcd.cut();
      mongo.cut();
      // Minutes, at full length; for people long enough for every timer of a client to be late.
      await sleep(effort(5_000, 130_000));
      api.thaw();
      const [list, health] = [await ask(api, 'GET', '/jobs'), await ask(api, 'GET', '/health')];
      assert.deepEqual([list.status, health.status], [200, 200], api.log());
      const headers = { 'idempotency-key': 'thawed' };
      assert.equal((await ask(api, 'POST', '/jobs/default/frozen/run', { headers })).status, 202, api.log());
      assert.equal(await ordersOf('frozen'), 1);
    } finally {
      cloud.set('kv', kv ?? '');
      cloud.set('history', history ?? '');
      await etcd.close();
      await mongo.close();
    }
  });

  it('watch: the watchdog finds what nobody has decided, and says so in figures', async () => {
    const watchdog = await cloud.start('watchdog.handler');
    await cloud.empty();
    assert.deepEqual(JSON.parse(await watchdog.invoke({})), { overdue: 0, dead: 0, live: 0 });
    const at = Date.now() - 600_000;
    const record = {
      job: { name: 'late', command: 'x', schedule: '* * * * *' },
      ...{ revision: '1', floor: at, floorWhy: 'created', paused: null, skips: [], cronExpr: null },
      ...{ createdAt: at, updatedAt: at, updatedBy: 'me' },
    };
    await cloud.kv.txn({
      compare: [],
      then: [{ type: 'put', key: cloud.layout.job('default/late'), value: JSON.stringify(record) }],
    });
    assert.deepEqual(JSON.parse(await watchdog.invoke({})), { overdue: 1, dead: 0, live: 0 });
    assert.match(watchdog.log(), /"Overdue":1/);
    assert.match(watchdog.log(), /there is no worker.*watchdog.overdue/);
  });
});
