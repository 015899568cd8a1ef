import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { type Api, makeApp } from './make-app.ts';

const t0 = Date.UTC(2026, 10, 22, 16, 35);
let api: Api;
let clock: VirtualClock;
beforeEach(async () => {
  clock = new VirtualClock({ now: t0 });
  api = await makeApp({ clock });
});
afterEach(() => api.close());

const job1 = { name: 'job1', command: 'echo hello', cronExpr: '*/5 * * * * * *' };
const urlencoded = 'application/x-www-form-urlencoded';

async function post(path: string, fields: Record<string, string>) {
  const body = new URLSearchParams(fields).toString();
  const { status, json } = await api.ask('POST', path, { body, headers: { 'content-type': urlencoded } });
  assert.equal(status, 200);
  return json;
}
const save = (job: object) => post('/job/save', { job: JSON.stringify(job) });
const get = async (path: string) => {
  const { status, json } = await api.ask('GET', path);
  assert.equal(status, 200);
  return json;
};

/** The course's API as API.md tells of it, for clients that were written to it. */
describe("the course's API", () => {
  it('saves a job and answers with the one before, lists it, deletes it and answers with it', async () => {
    assert.deepEqual(await save(job1), { errno: 0, msg: 'success', data: null });
    assert.deepEqual((await save({ ...job1, command: 'x' })).data, job1);
    assert.deepEqual((await get('/job/list')).data, [{ ...job1, command: 'x' }]);
    assert.deepEqual((await post('/job/delete', { name: 'job1' })).data, { ...job1, command: 'x' });
    assert.deepEqual((await get('/job/list')).data, []);
  });

  it('takes a delete and a kill of what is not there for done', async () => {
    assert.deepEqual(await post('/job/delete', { name: 'nobody' }), { errno: 0, msg: 'success', data: null });
    assert.deepEqual(await post('/job/kill', { name: 'nobody' }), { errno: 0, msg: 'success', data: null });
  });

  const wrong: [string, string, Record<string, string>, RegExp][] = [
    ['no job', '/job/save', {}, /job: is missing/],
    ['no JSON', '/job/save', { job: '{' }, /not JSON/],
    ['a field that is missing', '/job/save', { job: '{"name":"a","command":"x"}' }, /cronExpr/],
    ['a name that is none', '/job/save', { job: JSON.stringify({ ...job1, name: 'a b' }) }, /name/],
    ['a schedule that is none', '/job/save', { job: JSON.stringify({ ...job1, cronExpr: 'x' }) }, /schedule/],
    ['no schedule', '/job/save', { job: JSON.stringify({ ...job1, cronExpr: ' ' }) }, /schedule/],
    ['no command', '/job/save', { job: JSON.stringify({ ...job1, command: '' }) }, /command/],
    ['no name', '/job/delete', {}, /name/],
    ['a name that is none', '/job/kill', { name: '../x' }, /name/],
  ];
  for (const [name, path, fields, msg] of wrong)
    it(`${path} says by errno what is wrong: ${name}`, async () => {
      const answer = await post(path, fields);
      assert.deepEqual([answer.errno, answer.data], [-1, null]);
      assert.match(answer.msg, msg);
    });

  it('takes forms in both encodings, nothing else, and saves by POST only', async () => {
    const form = new FormData();
    form.set('job', JSON.stringify(job1));
    const { headers, body } = new Request('http://x', { method: 'POST', body: form });
    const bytes = new Uint8Array(await new Response(body).arrayBuffer());
    const type = headers.get('content-type') ?? '';
    const ask = (sent: string | Uint8Array, as: string) =>
      api.ask('POST', '/job/save', { body: sent, headers: { 'content-type': as } });
    assert.equal((await ask(bytes, type)).json.errno, 0);
    assert.equal((await ask('nonsense', type)).json.errno, -1);
    assert.equal((await ask(JSON.stringify(job1), 'application/json')).json.errno, -1);
    assert.equal((await api.ask('GET', '/job/save')).status, 405);
  });

  const expressions: [string, string][] = [
    ['*/5 * * * * * *', '2026-11-22T16:35:05.000Z'],
    ['0 0 12 * * * 2027', '2027-01-01T12:00:00.000Z'],
    ['0 12 * * *', '2026-11-23T12:00:00.000Z'],
    ['0 12 * * * 2027', '2027-01-01T12:00:00.000Z'],
    ['@hourly', '2026-11-22T17:00:00.000Z'],
  ];
  for (const [cronExpr, next] of expressions)
    it(`reads ${cronExpr} as the course's library did, and gives it back as it was saved`, async () => {
      assert.equal((await save({ ...job1, cronExpr })).errno, 0);
      assert.equal((await api.ask('GET', '/api/v1/jobs/default/job1')).json.next[0], next);
      assert.equal((await get('/job/list')).data[0].cronExpr, cronExpr);
    });

  it('keeps what it knows nothing of, and its text as long as the schedule is the same', async () => {
    const cronExpr = '0 12 * * * 2027';
    await save({ ...job1, cronExpr });
    const at = '/api/v1/jobs/default/job1';
    const { job } = (await api.ask('GET', at)).json;
    await api.ask('PUT', at, { body: { ...job, timeout: '5m' } });
    assert.equal((await get('/job/list')).data[0].cronExpr, cronExpr);
    await save({ ...job1, cronExpr, command: 'y' });
    assert.equal((await api.ask('GET', at)).json.job.timeout, '5m');
    await api.ask('PUT', at, { body: { ...job, schedule: ['0 1 * * *', '0 2 * * *'] } });
    assert.equal((await get('/job/list')).data[0].cronExpr, '0 1 * * *');
  });

  it('reads and writes group default, and is for tokens of it', async () => {
    await api.ask('PUT', '/api/v1/jobs/g/other', { body: { command: 'x' } });
    assert.deepEqual((await get('/job/list')).data, []);
    assert.equal((await api.ask('GET', '/job/list', { groups: ['g'] })).status, 403);
    assert.equal((await api.ask('GET', '/job/list', { groups: ['default'] })).status, 200);
  });

  it('tells of runs that ran, newest first, after their job has gone, too', async () => {
    const run = (minute: number, more: object) =>
      api.ran({
        ...{
          id: `default~job1~20261122T16${30 + minute}00.000Z~1`,
          instant: t0 + minute * 60_000,
          command: 'echo hello',
        },
        ...{
          plannedAt: t0 + minute * 60_000,
          claimedAt: t0 + 1,
          startedAt: t0 + 2,
          endedAt: t0 + 3,
          bytes: 6,
          tail: 'hello\n',
        },
        ...more,
      });
    await run(1, { exitCode: 0 });
    await run(2, { state: 'failed', exitCode: 3 });
    await run(3, { state: 'killed', signal: 'TERM' });
    await run(4, { state: 'skipped', startedAt: null });
    await run(5, { state: 'running', endedAt: null });
    await api.said('default~job1~20261122T163100.000Z~1', 0, 'hello\n', 0);
    const { data } = await get('/job/log?name=job1&_=17');
    assert.deepEqual(
      data.map(({ err }: { err: string }) => err),
      ['exit status 143', 'exit status 3', ''],
    );
    assert.deepEqual(data[2], {
      ...{ jobName: 'job1', command: 'echo hello', err: '', output: 'hello\n', planTime: t0 + 60_000 },
      ...{ scheduleTime: t0 + 1, startTime: t0 + 2, endTime: t0 + 3 },
    });
    assert.deepEqual((await get('/job/log?name=job1&skip=1&limit=1')).data[0].err, 'exit status 3');
    assert.deepEqual((await get('/job/log?name=nobody')).data, []);
    for (const query of ['', '?name=a+b', '?name=job1&limit=x', '?name=job1&skip=-1'])
      assert.equal((await get(`/job/log${query}`)).errno, -1, query);
  });

  it('kills every live run of a job, and those of no other', async () => {
    await api.holds('default~job1~o1~1');
    await api.holds('default~job1~o2~1');
    await api.holds('default~job2~o3~1');
    assert.equal((await post('/job/kill', { name: 'job1' })).errno, 0);
    const { entries } = await api.kv.range({ key: '/cron/kills/', end: '/cron/kills0' });
    assert.deepEqual(
      entries.map(({ key }) => key),
      ['/cron/kills/default~job1~o1~1', '/cron/kills/default~job1~o2~1'],
    );
  });

  it('lists the IPv4 addresses of the live workers', async () => {
    await api.registered('w1', { addresses: ['fe80::1', '10.0.0.7', '10.0.0.8'] });
    await api.registered('w2', { state: 'away' });
    await api.registered('w3', { addresses: ['::1'] });
    assert.deepEqual((await get('/worker/list')).data, ['10.0.0.7']);
  });
});
