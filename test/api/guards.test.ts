import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Kv, KvError } from '#core/ports/kv.ts';
import { siteFrom } from '#functions/site.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { type Api, makeApp } from './make-app.ts';

const job = { command: 'x', schedule: '* * * * *' };
const at = '/api/v1/jobs/default/a';

let api: Api;
afterEach(() => api.close());

describe('a request', () => {
  it('without a token is told nothing of what it sent, however large', async () => {
    api = await makeApp();
    const body = 'x'.repeat(2_000_000);
    assert.equal((await api.ask('PUT', at, { as: null, body })).status, 401);
    assert.equal((await api.ask('PUT', at, { as: 'viewer', body })).status, 403);
    assert.equal((await api.ask('PUT', at, { body })).status, 413);
  });

  it('that nests without end is refused before it takes the stack', async () => {
    api = await makeApp();
    for (const [type, body] of [
      ['application/json', '['.repeat(400_000) + ']'.repeat(400_000)],
      ['application/yaml', '['.repeat(100_000)],
      ['application/yaml', 'jobs: &a [*a]'],
      [
        'application/yaml',
        `a: &a [x, x]\n${'bcdefghijk'.replace(/./g, (c, i) => `${c}: &${c} [${`*${'abcdefghijk'[i]}, `.repeat(9)}x]\n`)}`,
      ],
    ] as const) {
      const answer = await api.ask('POST', '/api/v1/apply', { body, headers: { 'content-type': type } });
      assert.equal(answer.status, 400, `${type} ${body.slice(0, 20)}: ${answer.text}`);
    }
  });

  it('with ten thousand mistakes gets an answer that can be read', async () => {
    api = await makeApp();
    const { status, text, json } = await api.ask('POST', '/api/v1/apply', {
      body: { jobs: Array.from({ length: 10_000 }, () => 7) },
    });
    assert.equal(status, 422);
    assert.ok(text.length < 100_000 && json.errors.length === 100);
    assert.match(json.detail, /and 9999 more/);
  });

  it('names every unknown or repeated parameter', async () => {
    api = await makeApp();
    const paths = async (query: string) =>
      (await api.ask('GET', `/api/v1/runs?${query}`)).json.errors.map(({ path }: { path: string }) => path);
    assert.deepEqual(await paths('a=1&b=2&__proto__=3&limit=x'), ['limit', 'a', 'b', '__proto__']);
    assert.deepEqual(await paths('limit=1&limit=2&state=failed&state=lost'), ['limit', 'state']);
  });

  it('names days that do not exist', async () => {
    api = await makeApp();
    for (const day of ['2026-02-30', '2026-13-01', '2025-02-29'])
      assert.equal((await api.ask('GET', `/api/v1/runs?from=${day}T00:00:00Z`)).status, 400, day);
    assert.equal((await api.ask('GET', '/api/v1/runs?from=2028-02-29T00:00:00%2B01:00')).status, 200);
  });

  it('in a way that a path does not know is told which it knows, of open paths too', async () => {
    api = await makeApp();
    for (const [path, allow] of [
      ['/api/v1/health', 'GET, HEAD'],
      ['/openapi.json', 'GET, HEAD'],
      ['/metrics', 'GET, HEAD'],
      [`${at}/run`, 'POST'],
      ['/job/list', 'GET, HEAD'],
    ] as const) {
      const answer = await api.ask('PATCH', path, { as: null });
      assert.deepEqual([answer.status, answer.headers.get('allow')], [405, allow], path);
    }
    assert.equal((await api.ask('HEAD', '/api/v1/jobs')).status, 200);
  });

  it('has an id in its answer that the event of it has, too, and no more than that of a fault', async () => {
    const around = (kv: Kv): Kv =>
      ({
        ...kv,
        range: async () => Promise.reject(new Error('secret of the store')),
        txn: kv.txn.bind(kv),
      }) as Kv;
    api = await makeApp({ around });
    const { status, text, json, headers } = await api.ask('GET', '/api/v1/me');
    assert.deepEqual([status, json.code], [500, 'internal']);
    assert.equal(/secret/.test(text), false);
    const fault = api.told.find(({ type }) => type === 'http.fault');
    assert.ok(fault?.type === 'http.fault' && fault.requestId === json.requestId);
    assert.equal(headers.get('x-request-id'), json.requestId);
    const told = api.told.find(({ type }) => type === 'http.request');
    assert.ok(told?.type === 'http.request' && told.status === 500);
  });

  it('while the store is away may come again in a moment', async () => {
    let away = false;
    const around = (kv: Kv): Kv => {
      const gone = async () => Promise.reject(new KvError('unavailable', 'away'));
      const range: Kv['range'] = (...asked) => (away ? gone() : kv.range(...asked));
      return { ...kv, range, txn: (txn) => (away ? gone() : kv.txn(txn)) } as Kv;
    };
    api = await makeApp({ around });
    assert.equal((await api.ask('GET', '/api/v1/jobs')).status, 200);
    away = true;
    const refused = await api.ask('GET', '/api/v1/jobs');
    assert.deepEqual([refused.status, refused.json.code], [503, 'store_unavailable']);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    const health = await api.ask('GET', '/api/v1/health');
    assert.deepEqual([health.status, health.json.stores.kv], [503, 'away']);
    const course = await api.ask('GET', '/job/list');
    assert.deepEqual([course.status, course.json.errno], [200, -1]);
  });

  it('for another host than ours is refused, whatever it carries', async () => {
    api = await makeApp({ allowedHosts: () => ['127.0.0.1:8787'] });
    for (const path of ['/api/v1/me', '/docs', '/', '/job/list'])
      assert.equal((await api.request('GET', path, { headers: { host: 'evil.example' } })).status, 421, path);
    assert.equal(
      (await api.request('GET', '/api/v1/me', { headers: { host: '127.0.0.1:8787' } })).status,
      200,
    );
  });
});

describe('an API whose clock is off', () => {
  it('refuses what sets a floor, and nothing else', async () => {
    let skew: number | null = 0;
    api = await makeApp({ skewMs: () => skew });
    await api.ask('PUT', at, { body: job });
    for (skew of [501, -501, null]) {
      const moved = await api.ask('PUT', at, { body: { ...job, schedule: '*/2 * * * *' } });
      assert.deepEqual([moved.status, moved.json.code], [503, 'clock_skewed']);
      assert.equal((await api.ask('PUT', '/api/v1/jobs/default/new', { body: job })).status, 503);
      const applied = { jobs: [{ name: 'new', ...job }] };
      assert.equal((await api.ask('POST', '/api/v1/apply', { body: applied })).status, 503);
      assert.equal((await api.ask('PUT', at, { body: { ...job, command: 'y' } })).status, 200);
      assert.equal((await api.ask('POST', `${at}/pause`)).status, 200);
      assert.equal((await api.ask('POST', `${at}/resume`)).status, 503);
      assert.equal((await api.ask('POST', `${at}/run`)).status, 202);
    }
    skew = 500;
    assert.equal((await api.ask('POST', `${at}/resume`)).status, 200);
  });
});

describe('a token', () => {
  it('that another server has revoked works for five more seconds at most', async () => {
    const clock = new VirtualClock();
    api = await makeApp({ clock });
    const { json } = await api.ask('POST', '/api/v1/tokens', { body: { name: 'ci', role: 'viewer' } });
    const me = () =>
      api.request('GET', '/api/v1/me', { as: null, headers: { authorization: `Bearer ${json.token}` } });
    assert.equal((await me()).status, 200);
    await api.kv.txn({ compare: [], then: [{ type: 'delete', key: api.layout.token(json.id) }] });
    await clock.advance(5_000);
    assert.equal((await me()).status, 401);
  });

  it('is kept as a hash only, and shown once', async () => {
    api = await makeApp();
    const { json } = await api.ask('POST', '/api/v1/tokens', { body: { name: 'ci', role: 'viewer' } });
    const secret = json.token.split('_').slice(2).join('_');
    const { entries } = await api.kv.range({ key: api.layout.token(json.id) });
    assert.equal(entries[0]?.value.includes(secret), false);
    assert.equal((await api.ask('GET', '/api/v1/tokens')).text.includes(secret), false);
    assert.equal((await api.ask('GET', '/api/v1/audit')).text.includes(secret), false);
  });

  it('with one letter changed is nobody', async () => {
    api = await makeApp();
    const { json } = await api.ask('POST', '/api/v1/tokens', { body: { name: 'ci', role: 'viewer' } });
    const last = json.token.at(-1) === 'A' ? 'B' : 'A';
    for (const wrong of [
      json.token.slice(0, -1) + last,
      json.token.slice(0, -1),
      `${json.token}A`,
      `Basic ${json.token}`,
    ])
      assert.equal(
        (await api.request('GET', '/api/v1/me', { as: null, headers: { authorization: `Bearer ${wrong}` } }))
          .status,
        401,
      );
  });

  it('of some groups sees, makes and revokes only tokens of these, and nothing that concerns everybody', async () => {
    api = await makeApp();
    await api.registered('w1');
    const make = (groups: string[] | null) =>
      api.ask('POST', '/api/v1/tokens', { body: { name: 'x', role: 'viewer', groups } });
    const [own, both, all] = [await make(['g']), await make(['g', 'h']), await make(null)];
    const scoped = { groups: ['g'] };
    const seen = await api.ask('GET', '/api/v1/tokens', scoped);
    const ids = seen.json.items.map(({ id }: { id: string }) => id);
    assert.ok(ids.includes(own.json.id) && !ids.includes(both.json.id) && !ids.includes(all.json.id));
    for (const other of [both, all])
      assert.equal((await api.ask('DELETE', `/api/v1/tokens/${other.json.id}`, scoped)).status, 403);
    assert.equal((await api.ask('DELETE', `/api/v1/tokens/${own.json.id}`, scoped)).status, 200);
    for (const groups of [null, ['h'], ['g', 'h']])
      assert.equal(
        (await api.ask('POST', '/api/v1/tokens', { ...scoped, body: { name: 'x', role: 'viewer', groups } }))
          .status,
        403,
      );
    const narrow = { name: 'x', role: 'admin', groups: ['g'] };
    assert.equal((await api.ask('POST', '/api/v1/tokens', { ...scoped, body: narrow })).status, 201);
    assert.equal((await api.ask('POST', '/api/v1/workers/w1/drain', scoped)).status, 403);
    assert.equal((await api.ask('GET', '/api/v1/channels', scoped)).status, 403);
    assert.equal((await api.ask('GET', '/api/v1/audit?job=h/a', scoped)).status, 403);
    assert.equal((await api.ask('GET', '/job/list', scoped)).status, 403);
    const told = (await api.ask('GET', '/api/v1/audit', scoped)).json.items;
    assert.deepEqual(
      told.filter(({ what }: { what: string }) => what.startsWith('token.')),
      [],
    );
  });
});

describe("the site's files", () => {
  const file = {
    body: new TextEncoder().encode('<p>'),
    type: 'text/html',
    cacheControl: 'no-cache',
    etag: '"e1"',
  };

  it('are served to everybody, with headers that let nothing else in, and not again to who has them', async () => {
    api = await makeApp({ site: (path) => (path === '/' ? file : null) });
    const got = await api.request('GET', '/', { as: null });
    assert.deepEqual([got.status, await got.text()], [200, '<p>']);
    assert.match(got.headers.get('content-security-policy') ?? '', /default-src 'none'; script-src 'self'/);
    assert.equal(got.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(got.headers.get('access-control-allow-origin'), null);
    const again = await api.request('GET', '/', { as: null, headers: { 'if-none-match': 'W/"e0", "e1"' } });
    assert.equal(again.status, 304);
    assert.equal((await api.ask('GET', '/other', { as: null })).json.code, 'route_not_found');
    assert.equal((await api.request('POST', '/', { as: null })).status, 404);
  });

  it('are the page for every address of the page, dots in names included, and nothing for what is not there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cronfleet-site-'));
    writeFileSync(join(folder, 'index.html'), '<page>');
    writeFileSync(join(folder, 'main-1.js'), 'js');
    try {
      const site = siteFrom(pathToFileURL(`${folder}/`));
      api = await makeApp(site === null ? {} : { site });
      const said = async (path: string) => (await api.app.request(path)).text();
      for (const path of [
        '/',
        '/workers',
        '/jobs/default/backup.sh',
        '/runs/default~a~20261126T063400.000Z~1',
        '/jobs/default/main-1.js',
      ])
        assert.equal(await said(path), '<page>', path);
      assert.equal(await said('/main-1.js'), 'js');
      for (const path of [
        '/main-2.js',
        '/favicon.ico',
        '/..%2fpackage.json',
        '/%2e%2e/package.json',
        '//etc/passwd',
        '/index.html/../../package.json',
        '/api/v1/nothing',
        '/job/nothing',
        '/docs/x',
      ]) {
        const text = await said(path);
        assert.ok(/route_not_found/.test(text) || text === '<page>', `${path}: ${text}`);
      }
      for (const path of ['/main-2.js', '/favicon.ico', '/api/v1/nothing', '/job/nothing'])
        assert.match(await said(path), /route_not_found/, path);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
