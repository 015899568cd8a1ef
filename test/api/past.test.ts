import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { HistoryError } from '#core/ports/history.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { commandLine } from './command-line.ts';
import { type Api, makeApp } from './make-app.ts';

const t0 = Date.UTC(2026, 10, 22, 16, 35);
const minute = 60_000;
const job = { command: 'x', schedule: '* * * * *' };
const at = (name: string) => `/api/v1/jobs/default/${name}`;
const names = (json: { items: { job: { name: string } }[] }) => json.items.map((one) => one.job.name);

let api: Api;
let clock: VirtualClock;
beforeEach(async () => {
  clock = new VirtualClock({ now: t0 });
  api = await makeApp({ clock });
});
afterEach(() => api.close());

const get = async (path: string, how = {}) => (await api.ask('GET', `/api/v1${path}`, how)).json;

describe('a list of jobs', () => {
  beforeEach(async () => {
    await api.ask('PUT', at('backup'), {
      body: { ...job, tags: ['db'], owner: 'Ann', target: { labels: { zone: 'eu' } } },
    });
    await api.ask('PUT', at('report'), { body: { ...job, enabled: false, description: 'monthly Numbers' } });
    await api.ask('PUT', '/api/v1/jobs/g/other', { body: { ...job, target: { workers: ['w1'] } } });
    await api.ran({ id: 'default~backup~o1~1', state: 'failed', instant: t0 - minute });
    await api.registered('w1', { labels: { zone: 'us' } });
    await api.registered('w2', { labels: { zone: 'eu' } });
  });
  const rows: [string, string[]][] = [
    ['', ['backup', 'report', 'other']],
    ['group=default', ['backup', 'report']],
    ['q=NUMBERS', ['report']],
    ['q=default/ba', ['backup']],
    ['q=ann', ['backup']],
    ['tag=db', ['backup']],
    ['enabled=false', ['report']],
    ['state=failed', ['backup']],
    ['worker=w1', ['report', 'other']],
    ['worker=w2', ['backup', 'report']],
    ['q=x&enabled=true&group=g', ['other']],
    ['q=nothing', []],
  ];
  for (const [query, expected] of rows)
    it(`holds ${expected.join(', ') || 'nothing'} for ?${query}`, async () => {
      assert.deepEqual(names(await get(`/jobs?${query}`)), expected);
    });

  it('shows what lives as running, and finds it by that state', async () => {
    await api.holds('default~backup~o2~1');
    const { items } = await get('/jobs?state=claimed');
    assert.deepEqual(names({ items }), ['backup']);
    assert.deepEqual([items[0].last.state, items[0].running[0].id], ['failed', 'default~backup~o2~1']);
  });

  it('holds only the groups of the token', async () => {
    assert.deepEqual(names(await get('/jobs', { as: 'viewer', groups: ['g'] })), ['other']);
  });

  it('goes on where it ended, whatever was added before or taken away since', async () => {
    const first = await get('/jobs?limit=1');
    await api.ask('PUT', at('aaa'), { body: job });
    await api.ask('DELETE', at('backup'));
    assert.deepEqual(names(await get(`/jobs?limit=2&cursor=${first.next}`)), ['report', 'other']);
    assert.equal((await api.ask('GET', '/api/v1/jobs?cursor=zzz')).status, 400);
  });

  it('of many that few pass goes through all of them, page by page, without gap or double', async () => {
    const many = (group: string) =>
      Array.from({ length: 900 }, (_, i) => ({
        group,
        name: `j${i}`,
        ...job,
        tags: i % 450 === 7 ? ['rare'] : [],
      }));
    for (const group of ['m1', 'm2', 'm3'])
      await api.ask('POST', '/api/v1/apply', { body: { jobs: many(group) } });
    const found: string[] = [];
    let requests = 0;
    for (let cursor: string | null = ''; cursor !== null; requests += 1) {
      const page: { items: []; next: string | null } = await get(
        `/jobs?tag=rare&limit=5${cursor && `&cursor=${cursor}`}`,
      );
      found.push(
        ...page.items.map(
          ({ job: { group, name } }: { job: { group: string; name: string } }) => `${group}/${name}`,
        ),
      );
      cursor = page.next;
    }
    assert.deepEqual(
      found.sort(),
      ['m1', 'm2', 'm3'].flatMap((group) => [`${group}/j457`, `${group}/j7`]),
    );
    assert.ok(requests < 5);
  });
});

describe('what is to come', () => {
  it('leaves out what was left out, and what a pause or a floor covers', async () => {
    await api.ask('PUT', at('a'), { body: job });
    const next = async () =>
      (await get('/jobs/default/a')).next.map((text: string) => (Date.parse(text) - t0) / minute);
    assert.deepEqual(await next(), [1, 2, 3]);
    await api.ask('POST', `${at('a')}/skip`, { body: { instant: '2026-11-22T17:37:00+01:00' } });
    assert.deepEqual(await next(), [1, 3, 4]);
    await api.ask('POST', `${at('a')}/pause`, { body: { until: '2026-11-22T16:37:00Z' } });
    assert.deepEqual(await next(), [3, 4, 5]);
    await api.ask('POST', `${at('a')}/pause`, { body: { until: null } });
    assert.deepEqual(await next(), []);
    await api.ask('POST', `${at('a')}/resume`);
    await api.ask('PUT', at('a'), { body: { ...job, enabled: false } });
    assert.deepEqual(await next(), []);
  });

  it('is forecast by step, of jobs that will run as things stand', async () => {
    await api.ask('PUT', at('a'), { body: job });
    await api.ask('PUT', at('b'), { body: { ...job, schedule: '0 * * * *' } });
    await api.ask('PUT', at('c'), { body: { ...job, enabled: false } });
    await api.ask('PUT', at('d'), { body: job });
    await api.ask('POST', `${at('d')}/pause`);
    const range = 'from=2026-11-22T17:00:00Z&to=2026-11-22T19:00:00Z';
    const { items, first, estimated } = await get(`/forecast?${range}&step=1h`);
    assert.deepEqual(items, [
      { at: '2026-11-22T17:00:00.000Z', count: 61, jobs: 2 },
      { at: '2026-11-22T18:00:00.000Z', count: 61, jobs: 2 },
    ]);
    assert.equal(estimated, false);
    const soonest = (name: string) => ({ group: 'default', name, instant: '2026-11-22T17:00:00.000Z' });
    assert.deepEqual(first, [soonest('a'), soonest('b')]);
    const later = await get('/forecast?from=2026-11-22T17:00:30Z&to=2026-11-22T17:30:00Z');
    assert.deepEqual(later.first, [{ ...soonest('a'), instant: '2026-11-22T17:01:00.000Z' }]);
    assert.equal((await api.ask('GET', `/api/v1/forecast?${range}&step=1s`)).status, 400);
    assert.equal((await api.ask('GET', '/api/v1/forecast?to=2020-01-01T00:00:00Z')).status, 400);
  });

  it('is explained by an expression: what it means, when it comes, what is odd about it', async () => {
    const meaning = await get(
      '/schedule?expr=30+2+*+*+*&timezone=Europe/Berlin&count=2&from=2027-03-27T00:00:00Z',
    );
    assert.match(meaning.sentence, /02:30/);
    assert.deepEqual(meaning.next.length, 2);
    assert.match(meaning.next[1].note, /clocks go forward/);
    const seeded = (name: string) => get(`/schedule?expr=H+H+*+*+*&count=1&job=${name}`);
    assert.notDeepEqual((await seeded('a')).normal, (await seeded('b')).normal);
    const bad = await api.ask('GET', '/api/v1/schedule?expr=61+*+*+*+*&timezone=Mars');
    assert.deepEqual(
      bad.json.errors.map(({ path }: { path: string }) => path),
      ['schedule', 'timezone'],
    );
  });
});

describe('what was', () => {
  it('is counted by step', async () => {
    await api.ran({
      id: 'default~a~o1~1',
      instant: t0 - minute,
      startedAt: t0 - minute + 5,
      endedAt: t0 - minute + 105,
    });
    await api.ran({ id: 'g~a~o1~1', instant: t0 - minute, state: 'failed' });
    const stats = async (how = {}) => {
      const range = 'from=2026-11-22T16:00:00Z&to=2026-11-22T17:00:00Z&step=30m';
      return (await get(`/stats?${range}`, how)).items.map(({ counts }: { counts: object }) => counts);
    };
    assert.deepEqual(await stats(), [{}, { succeeded: 1, failed: 1 }]);
    assert.deepEqual(await stats({ groups: ['g'] }), [{}, { failed: 1 }]);
  });

  it('of a job is told version by version, values of its environment to editors only', async () => {
    await api.ask('PUT', at('a'), { body: { ...job, env: { KEY: 'hush' } } });
    await api.ask('POST', `${at('a')}/pause`);
    await api.ask('PUT', at('a'), { body: { ...job, command: 'y' } });
    await api.ask('DELETE', at('a'));
    const { items } = await get('/jobs/default/a/versions');
    assert.deepEqual(items.map(({ what }: { what: string }) => what).sort(), [
      'job.create',
      'job.delete',
      'job.update',
    ]);
    const update = items.find(({ what }: { what: string }) => what === 'job.update');
    assert.deepEqual([update.before.env.KEY, update.after.command, update.who], ['hush', 'y', 'admin']);
    assert.equal(
      (await api.ask('GET', `${at('a')}/versions`, { as: 'operator' })).text.includes('hush'),
      false,
    );
  });

  it('was said in its logs is found by text', async () => {
    await api.ran({ id: 'default~a~o1~1', instant: t0 - minute });
    await api.said('default~a~o1~1', 0, 'fine\ndisk full\n', 0);
    const found = await get('/jobs/default/a/search?text=disk&days=1');
    assert.deepEqual(
      found.lines.map(({ line, run, offset }: { line: string; run: string; offset: number }) => [
        line,
        run,
        offset,
      ]),
      [['disk full', 'default~a~o1~1', 5]],
    );
    assert.deepEqual([found.complete, found.next, found.reachedAt], [true, null, null]);
    assert.equal((await api.ask('GET', `${at('a')}/search`)).status, 400);
    assert.equal((await api.ask('GET', `${at('a')}/search?text=disk&cursor=x`)).status, 400);
  });

  it('is searched on by the command line, which says how far it came when it is cut off', async (t) => {
    const lines = [{ run: 'default~a~o1~1', at: t0, offset: 0, line: 'disk full' }];
    const early = { lines, complete: false, next: 'n', reachedAt: t0 - minute };
    const search = t.mock.method(api.history, 'search', async () => {
      if (search.mock.callCount() > 0) throw new HistoryError('unavailable', 'away');
      return early;
    });
    const cut = await commandLine(api, 'search', 'a', 'disk');
    assert.match(cut.out, /default~a~o1~1 +disk full/);
    assert.equal(cut.code, 3);
    assert.match(
      cut.notes,
      /^it is searched back into the run of 2026-11-22 16:34:00Z; what is older is not\n/,
    );
  });

  it('was done by whom is kept for admins, with what it was before and after', async () => {
    await api.ask('PUT', at('a'), { as: 'editor', body: job });
    await clock.advance(1_000);
    await api.ask('POST', `${at('a')}/run`, { as: 'operator', body: { env: { KEY: 'hush' } } });
    const { items } = await get('/audit?job=a');
    assert.deepEqual(
      items.map(({ what, who }: { what: string; who: string }) => [what, who]),
      [
        ['job.run', 'operator'],
        ['job.create', 'editor'],
      ],
    );
    assert.equal(items[1].after.command, 'x');
    assert.equal(JSON.stringify(items).includes('hush'), false);
    assert.deepEqual((await get('/audit?who=operator')).items.length, 1);
    assert.deepEqual((await get('/audit?to=2026-11-22T16:35:01Z&who=editor')).items.length, 1);
    assert.deepEqual((await get('/audit?from=2026-11-22T16:35:01Z')).items.length, 1);
  });

  it('is explained for any instant', async () => {
    await api.ask('PUT', at('a'), { body: job });
    const why = (instant: string) => get(`/why?job=a&instant=${instant}`);
    assert.equal((await why('2026-11-22T16:30:00Z')).state, 'no_instant');
    assert.match((await why('2026-11-22T16:36:00Z')).sentence, /there is no worker/);
    await api.registered('w1', { clockSkewMs: 900 });
    assert.match((await why('2026-11-22T16:36:00Z')).sentence, /w1 has a clock that is 900 ms off/);
    await api.registered('w1');
    await clock.advance(2 * minute);
    assert.equal((await why('2026-11-22T16:36:00Z')).state, 'due');
    const run = 'default~a~20261122T163600.000Z~1';
    await api.holds(run, { instant: t0 + minute });
    const living = await why('2026-11-22T17:36:00%2B01:00');
    assert.deepEqual([living.state, living.run], ['claimed', run]);
    await api.ran({
      id: 'default~a~20261122T163700.000Z~1',
      instant: t0 + 2 * minute,
      state: 'skipped',
      reason: 'overlap',
    });
    assert.match((await why('2026-11-22T16:37:00Z')).sentence, /skipped: overlap/);
    const order = { from: '2026-11-22T15:00:00Z', to: '2026-11-22T15:05:00Z' };
    await api.ask('POST', `${at('a')}/backfill`, { body: order });
    assert.match((await why('2026-11-22T15:04:00Z')).sentence, /waits its turn in order/);
    assert.equal((await api.ask('GET', '/api/v1/why?job=a/b/c&instant=x')).json.errors.length, 2);
  });

  it('is explained for the last that was due where no instant is named', async () => {
    const why = () => api.ask('GET', '/api/v1/why?job=a');
    assert.equal((await why()).json.code, 'job_not_found');
    await api.ask('PUT', at('a'), { body: job });
    assert.equal((await why()).json.instant, '2026-11-22T16:35:00.000Z');
    await clock.advance(minute);
    const due = (await why()).json;
    assert.deepEqual([due.instant, due.state], ['2026-11-22T16:36:00.000Z', 'due']);
    await api.ask('PUT', at('b'), { body: { command: 'x' } });
    const byHand = () => api.ask('GET', '/api/v1/why?job=b');
    assert.equal((await byHand()).json.code, 'instant_missing');
    await api.ran({ id: 'default~b~20261122T163600.000Z~1', instant: t0 + minute });
    const ran = (await byHand()).json;
    assert.deepEqual([ran.instant, ran.state], ['2026-11-22T16:36:00.000Z', 'succeeded']);
  });

  it('is explained where it started late, by what was due before', async () => {
    await api.ask('PUT', at('a'), { body: { ...job, overlap: 'queue' } });
    const ran = (from: number, claimed: number, until: number) =>
      api.ran({
        ...{ id: `default~a~${from}~1`, instant: t0 + from, worker: 'w1' },
        ...{ claimedAt: t0 + claimed, startedAt: t0 + claimed, endedAt: t0 + until },
      });
    await ran(0, 0, 70_000);
    await ran(minute, 70_010, 70_020);
    const { sentence, evidence } = await get('/why?job=a&instant=2026-11-22T16:36:00Z');
    assert.match(
      sentence,
      /It started late: default~a~0~1 lived until 2026-11-22T16:36:10.000Z, .* queue\.$/,
    );
    assert.ok(evidence.some(({ what }: { what: string }) => what === 'default~a~0~1: succeeded'));
  });
});

describe('applying', () => {
  const apply = (type: string, body: string, query = '') =>
    api.ask('POST', `/api/v1/apply${query}`, { body, headers: { 'content-type': type } });

  it('takes YAML as it takes JSON, and tells what differs', async () => {
    const yaml = 'jobs:\n  - name: a\n    command: x\n    schedule: "* * * * *"\n';
    assert.equal((await apply('application/yaml', yaml)).json.changes[0].action, 'create');
    const changed = await apply('text/yaml', yaml.replace('command: x', 'command: y'));
    assert.deepEqual(changed.json.changes[0].diff, [{ path: 'command', from: 'x', to: 'y' }]);
    assert.equal((await apply('application/yaml', 'jobs: [')).json.code, 'yaml_invalid');
    assert.equal((await apply('application/yaml', 'jobs: 3')).status, 422);
    assert.equal((await apply('text/html', '<p>')).status, 415);
  });

  it('takes a crontab, and lists the lines that can not be jobs', async () => {
    const crontab = 'MAILTO=ann\n*/5 * * * * /bin/backup --all\n@reboot /bin/start\n';
    const { status, json } = await apply('text/crontab', crontab, '?group=tab');
    assert.equal(status, 200);
    assert.deepEqual(
      json.changes.map(({ group, action }: { group: string; action: string }) => [group, action]),
      [['tab', 'create']],
    );
    assert.deepEqual(
      json.refused.map(({ line }: { line: number }) => line),
      [1, 3],
    );
    assert.equal((await get('/jobs?group=tab')).items[0].job.command, '/bin/backup --all');
  });

  it('takes away what it is told to, and only from groups of the token', async () => {
    await api.ask('PUT', at('a'), { body: job });
    const body = { jobs: [{ name: 'b', ...job }], delete: ['a', 'never-was'] };
    const dry = await api.ask('POST', '/api/v1/apply?dryRun=true', { body });
    const made = await api.ask('POST', '/api/v1/apply', { body });
    for (const { json } of [dry, made])
      assert.deepEqual(
        json.changes.map(({ name, action }: { name: string; action: string }) => `${name} ${action}`),
        ['b create', 'a delete'],
      );
    assert.equal((await api.ask('GET', at('a'))).status, 404);
    assert.ok((await get('/audit?job=a')).items.some(({ what }: { what: string }) => what === 'job.delete'));
    const others = { jobs: [], delete: ['h/x'] };
    assert.equal((await api.ask('POST', '/api/v1/apply', { groups: ['g'], body: others })).status, 403);
    assert.equal((await api.ask('POST', '/api/v1/apply', { body: { jobs: [], delete: ['/'] } })).status, 422);
  });

  it('takes what a name without a group says for one of the group that is named, of those that go and were seen as of those that come', async () => {
    const inGroup = (body: object) => api.ask('POST', '/api/v1/apply?group=h', { body });
    await api.ask('PUT', at('a'), { body: job });
    await inGroup({ jobs: [{ name: 'a', ...job }] });
    const late = await inGroup({ jobs: [], delete: ['a'], seen: { a: null } });
    assert.deepEqual([late.status, late.json.errors[0].path], [412, 'seen.h/a']);
    assert.equal((await inGroup({ jobs: [], delete: ['a'] })).json.changes[0].group, 'h');
    assert.deepEqual(
      (await get('/jobs')).items.map(({ job: { group } }: { job: { group: string } }) => group),
      ['default'],
    );
  });

  it('is for the groups of the token only, and prunes none that was not named', async () => {
    const body = { jobs: [{ group: 'h', name: 'a', ...job }] };
    assert.equal((await api.ask('POST', '/api/v1/apply', { groups: ['g'], body })).status, 403);
    assert.equal((await api.ask('POST', '/api/v1/apply?prune=true', { body })).status, 400);
    assert.equal(
      (await api.ask('POST', '/api/v1/apply?prune=true&group=h', { groups: ['g'], body: { jobs: [] } }))
        .status,
      403,
    );
  });
});

describe('a worker', () => {
  it('is shown with its load, and drains while it is asked to', async () => {
    await api.registered('w1');
    await api.history.saveLoad({
      id: 'w1',
      at: t0,
      running: 3,
      revision: '7',
      cpu: 0.5,
      memory: 1,
      clockSkewMs: 2,
    });
    await api.history.saveLoad({
      id: 'w0',
      at: t0,
      running: 0,
      revision: '7',
      cpu: 0,
      memory: 1,
      clockSkewMs: 0,
    });
    const { items } = await get('/workers');
    assert.deepEqual(
      items.map(({ id, state, running }: { id: string; state: string; running: number }) => [
        id,
        state,
        running,
      ]),
      [
        ['w0', 'dead', null],
        ['w1', 'live', 3],
      ],
    );
    assert.equal((await api.ask('POST', '/api/v1/workers/w1/drain')).json.state, 'draining');
    assert.equal((await api.ask('POST', '/api/v1/workers/w1/undrain')).json.state, 'live');
    assert.equal((await api.ask('POST', '/api/v1/workers/w0/drain')).json.code, 'worker_not_found');
    assert.equal((await get('/workers?limit=1')).next !== null, true);
  });
});

describe('a channel', () => {
  const hook = { type: 'webhook', url: 'https://hooks.example/secret' };
  it('is made, shown, tried out and taken away', async () => {
    const sent: { url: string; body: string; redirect: unknown }[] = [];
    const fetch = (async (url: string, init: RequestInit) => {
      sent.push({ url, body: String(init.body), redirect: init.redirect });
      return new Response(null, { status: url.includes('slack') ? 500 : 204 });
    }) as typeof globalThis.fetch;
    await api.close();
    api = await makeApp({ clock, fetch });
    assert.equal((await api.ask('PUT', '/api/v1/channels/ops', { body: hook })).status, 201);
    assert.equal((await api.ask('PUT', '/api/v1/channels/ops', { body: hook })).status, 200);
    const slack = { type: 'slack', url: 'https://slack.example/x' };
    await api.ask('PUT', '/api/v1/channels/chat', { body: slack });
    assert.deepEqual(
      (await get('/channels')).items.map(({ name }: { name: string }) => name),
      ['chat', 'ops'],
    );
    assert.deepEqual((await api.ask('POST', '/api/v1/channels/ops/test')).json, {
      ...{ delivered: true, status: 204, detail: 'answered with HTTP 204' },
    });
    assert.equal((await api.ask('POST', '/api/v1/channels/chat/test')).json.delivered, false);
    assert.deepEqual(
      sent.map(({ redirect }) => redirect),
      ['manual', 'manual'],
    );
    assert.deepEqual(Object.keys(JSON.parse(sent[1]?.body ?? '')), ['text']);
    assert.equal((await api.ask('DELETE', '/api/v1/channels/ops')).status, 200);
    assert.equal((await api.ask('DELETE', '/api/v1/channels/ops')).json.code, 'channel_not_found');
    assert.equal((await api.ask('GET', '/api/v1/audit')).text.includes('secret'), false);
  });

  it('that never answers is given up after ten seconds', async () => {
    const fetch = ((_: string, { signal }: RequestInit) =>
      new Promise((_, reject) =>
        signal?.addEventListener('abort', () => reject(new Error('aborted'))),
      )) as typeof globalThis.fetch;
    await api.close();
    api = await makeApp({ clock, fetch });
    await api.ask('PUT', '/api/v1/channels/ops', { body: hook });
    const tried = api.ask('POST', '/api/v1/channels/ops/test');
    await clock.advance(10_000);
    assert.deepEqual((await tried).json, { delivered: false, status: null, detail: 'no answer within 10 s' });
  });

  it('is reached by http and https only', async () => {
    for (const url of ['file:///etc/passwd', 'nonsense', ''])
      assert.equal((await api.ask('PUT', '/api/v1/channels/ops', { body: { ...hook, url } })).status, 422);
  });
});

describe('metrics', () => {
  it('are Prometheus text', async () => {
    await api.close();
    api = await makeApp({ clock, metrics: async () => 'cronfleet_up 1\n' });
    const got = await api.ask('GET', '/metrics', { as: 'viewer' });
    assert.deepEqual(
      [got.text, got.headers.get('content-type')],
      ['cronfleet_up 1\n', 'text/plain; version=0.0.4; charset=utf-8'],
    );
  });
});
