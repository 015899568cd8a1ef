import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePorts } from '#infra/free-ports.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { type Daemon, Daemons } from '#test/etcd/daemons.ts';
import { clusterForFile, etcds } from '#test/etcd/servers.ts';
import { mongoForTests } from '#test/mongo/server.ts';
import { until } from '#test/until.ts';
import { type Nginx, startNginx } from './nginx.ts';

const [programs] = await etcds();
if (!programs) throw new Error('no etcd');
const { endpoints } = await clusterForFile({ programs });
const mongo = await mongoForTests();
const folder = mkdtempSync(join(tmpdir(), 'nginx-'));
after(() => rmSync(folder, { recursive: true }));

describe('several masters behind nginx', { timeout: 600_000 }, () => {
  const fleet = new Daemons(folder, endpoints, mongo.database().url);
  const masters: (Daemon & { url: string })[] = [];
  let nginx: Nginx;
  const addressOf = (index: number) => masters[index]?.url.replace('http://', '') ?? '';
  const json = { 'content-type': 'application/json' };
  const ask = (method: string, path: string, headers: Record<string, string> = {}, body?: unknown) =>
    nginx.ask(
      method,
      path,
      { authorization: `Bearer ${fleet.token}`, ...(body === undefined ? {} : json), ...headers },
      body === undefined ? undefined : JSON.stringify(body),
    );

  before(async () => {
    // Of their own, since they come back to them: a port that the kernel has picked it may meanwhile give to somebody's connection.
    for (const port of await freePorts(2)) masters.push(await fleet.server(port));
    await fleet.makeToken();
    await fleet.agent('w1');
    nginx = await startNginx(
      join(folder, 'one'),
      [addressOf(0), addressOf(1)],
      [
        // A master that hangs is given up sooner than in earnest, and one that answers on a loaded host is not.
        ['proxy_read_timeout 30s;', 'proxy_read_timeout 10s;'],
      ],
    );
  });
  after(async () => {
    await nginx?.stop();
    await fleet.stop();
  });

  it('are reached by HTTP/2 over TLS, and from plain HTTP sent there', async () => {
    const session = connectHttp2(`https://127.0.0.1:${nginx.port}`, { ca: nginx.certificate });
    const stream = session.request({ ':path': '/api/v1/health' });
    const [headers] = await once(stream, 'response');
    assert.equal(headers[':status'], 200);
    assert.equal(session.alpnProtocol, 'h2');
    assert.equal(headers['strict-transport-security'], 'max-age=31536000');
    stream.resume();
    await once(stream, 'close');
    session.close();
    const plain = await fetch(`http://127.0.0.1:${nginx.httpPort}/jobs?x=1`, { redirect: 'manual' });
    assert.deepEqual(
      [plain.status, plain.headers.get('location')],
      [308, 'https://cron.example.com/jobs?x=1'],
    );
  });

  it('give the site by nginx just as a master gives it', async () => {
    const safety = [
      ...['content-security-policy', 'x-content-type-options', 'referrer-policy'],
      ...['cross-origin-opener-policy', 'cross-origin-resource-policy', 'cache-control'],
    ];
    for (const path of ['/', '/index.html', '/jobs/default/a.b', '/runs/default~a~20261122T163500.000Z~1']) {
      const [ours, theirs] = [await nginx.ask('GET', path), await fetch(`${masters[0]?.url}${path}`)];
      assert.deepEqual([ours.status, ours.text], [200, await theirs.text()], path);
      assert.match(ours.headers['content-type'] ?? '', /^text\/html/);
      for (const name of safety)
        assert.equal(ours.headers[name], theirs.headers.get(name), `${path} ${name}`);
      assert.equal(ours.headers['strict-transport-security'], 'max-age=31536000');
    }
    const before = nginx.asked().length;
    for (const name of readdirSync(join(projectFolder, 'dist/site')).filter((one) => one !== 'index.html')) {
      const { status, headers } = await nginx.ask('GET', `/${name}`);
      assert.equal(status, 200, name);
      assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable');
      assert.equal(headers['x-content-type-options'], 'nosniff');
    }
    // No master was asked for any of it.
    assert.ok(
      nginx
        .asked()
        .slice(before)
        .every((master) => master === '-'),
    );
    const missing = await nginx.ask('GET', '/main-AAAAAAAA.js');
    assert.deepEqual([missing.status, JSON.parse(missing.text).code], [404, 'route_not_found']);
  });

  it('answer the API as they do without it, and keep their metrics to themselves', async () => {
    for (const path of ['/openapi.json', '/docs', '/api/v1/jobs', '/api/v1/nothing']) {
      const ours = await ask('GET', path);
      const theirs = await fetch(`${masters[0]?.url}${path}`, {
        headers: { authorization: `Bearer ${fleet.token}` },
      });
      assert.equal(ours.status, theirs.status, path);
      for (const name of [
        'content-type',
        'content-security-policy',
        'cache-control',
        'x-content-type-options',
      ])
        assert.equal(ours.headers[name] ?? null, theirs.headers.get(name), `${path} ${name}`);
    }
    const large = await ask('PUT', '/api/v1/jobs/default/large', {}, { command: 'x'.repeat(1_100_000) });
    assert.deepEqual([large.status, JSON.parse(large.text).code], [413, 'body_too_large']);
    assert.equal((await ask('GET', '/metrics')).status, 404);
    assert.equal(JSON.parse((await ask('GET', '/job/list')).text).errno, 0);
  });

  /** A run that says `one`, and `two` once `file` is there. */
  async function begin(name: string, file: string): Promise<string> {
    const command = `echo one; until [ -e ${folder}/${file} ]; do sleep 0.05; done; echo two`;
    await ask('PUT', `/api/v1/jobs/default/${name}`, {}, { command });
    const { text } = await ask('POST', `/api/v1/jobs/default/${name}/run`, {}, {});
    return JSON.parse(text).run;
  }
  const open = (file: string) => writeFileSync(join(folder, file), '');

  it('send events on as they come', { timeout: 120_000 }, async () => {
    const run = await begin('events', 'second');
    const asking = request({
      ...{ host: '127.0.0.1', port: nginx.port, ca: nginx.certificate, path: `/api/v1/runs/${run}/log` },
      headers: { authorization: `Bearer ${fleet.token}`, accept: 'text/event-stream' },
    });
    asking.end();
    const [response] = await once(asking, 'response');
    assert.match(response.headers['content-type'], /^text\/event-stream/);
    let text = '';
    for await (const piece of response) {
      text += piece;
      // Only now may it go on: what nginx held back would be waited for until the test has had its time.
      if (text.includes('one')) open('second');
    }
    const said = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? '').text);
    assert.equal(said.join(''), 'one\ntwo\n');
    assert.match(text, /^event: done$/m);
  });

  it('hold a long poll until there is more', { timeout: 120_000 }, async () => {
    const run = await begin('poll', 'more');
    const read = async (from: number, wait: number) =>
      JSON.parse((await ask('GET', `/api/v1/runs/${run}/log?from=${from}&wait=${wait}`)).text);
    const first = await until(
      'its first line',
      () => read(0, 20),
      ({ text }) => text === 'one\n',
    );
    // Longer than nginx waits for any other answer.
    const began = performance.now();
    const empty = await read(first.next, 12);
    assert.ok(performance.now() - began > 11_900);
    assert.deepEqual([empty.text, empty.done], ['', false]);
    const waiting = read(first.next, 29);
    open('more');
    assert.equal((await waiting).text, 'two\n');
  });

  interface Load {
    answered: number;
    failed: string[];
    /** Each key with every order that it was answered with. */
    orders: Map<string, string>;
    stop(): Promise<void>;
    /** Settles after so many answers more. */
    more(count: number): Promise<void>;
  }
  /** Requests that may be repeated, from as many clients at once as there are. */
  function load(clients: number, mark: string): Load {
    let stopped = false;
    const waiting = new Set<{ at: number; resolve(): void }>();
    const it: Load = {
      answered: 0,
      failed: [],
      orders: new Map(),
      async stop() {
        stopped = true;
        await Promise.all(all);
      },
      more: (count) => new Promise((resolve) => waiting.add({ at: it.answered + count, resolve })),
    };
    async function one(client: number, turn: number): Promise<void> {
      const key = `${mark}-${client}-${turn}`;
      const what = [
        () => ask('GET', '/api/v1/jobs'),
        () => ask('PUT', `/api/v1/jobs/default/load-${client}`, {}, { command: 'true' }),
        () => ask('POST', '/api/v1/jobs/default/load/run', { 'idempotency-key': key }, {}),
        () => ask('GET', '/api/v1/jobs/default/load'),
      ][turn % 4];
      try {
        let { status, text } = (await what?.()) ?? assert.fail();
        // A master that lives says so of a store that is slow on a loaded host, and whoever may ask again does: nobody in between has lost it.
        while (status === 503 && JSON.parse(text).code === 'store_unavailable')
          ({ status, text } = (await what?.()) ?? assert.fail());
        if (status >= 300) it.failed.push(`${turn % 4} answered ${status}: ${text}`);
        else if (turn % 4 === 2) it.orders.set(key, JSON.parse(text).order);
      } catch (error) {
        it.failed.push(`${turn % 4} broke: ${error}`);
      }
      it.answered += 1;
      for (const wait of waiting) if (it.answered >= wait.at && waiting.delete(wait)) wait.resolve();
    }
    const all = Array.from({ length: clients }, async (_, client) => {
      for (let turn = client; !stopped; turn += 1) await one(client, turn);
    });
    return it;
  }
  const everyoneAnswers = async () => {
    for (const address of [addressOf(0), addressOf(1)]) {
      const before = nginx.asked().length;
      await until(`an answer of ${address}`, async () => {
        await ask('GET', '/api/v1/jobs');
        return nginx.asked().slice(before).includes(address);
      });
    }
  };

  it('lose no request that may be repeated when one is killed, stopped, hangs, or comes back', {
    timeout: 300_000,
  }, async () => {
    await ask('PUT', '/api/v1/jobs/default/load', {}, { command: 'true', overlap: 'allow', retention: '1d' });
    const busy = load(12, 'kill');
    await busy.more(60);
    const bring = async (index: number) => {
      masters[index] = await fleet.server(Number(addressOf(index).split(':')[1]));
      await everyoneAnswers();
    };
    await masters[0]?.end('SIGKILL');
    await busy.more(60);
    await bring(0);
    await masters[1]?.end('SIGTERM');
    await busy.more(60);
    await bring(1);
    const before = nginx.asked().length;
    masters[0]?.child.kill('SIGSTOP');
    const givenUp = () =>
      nginx
        .asked()
        .slice(before)
        .filter((masters) => masters.includes(', '));
    await until('what hangs to be asked of the next master', givenUp, ({ length }) => length > 0);
    await busy.more(60);
    masters[0]?.child.kill('SIGCONT');
    await everyoneAnswers();
    await busy.more(60);
    await busy.stop();
    assert.deepEqual(busy.failed, []);
    // Some were sent to two masters, or nothing has been tried.
    assert.ok(nginx.asked().some((masters) => masters.includes(', ')));
    // And nothing was done twice: a key stands for one order, whichever masters were asked.
    const orders = [...busy.orders];
    assert.equal(new Set(orders.map(([, order]) => order)).size, orders.length);
    for (const [key, order] of orders.slice(0, 10)) {
      const again = await ask('POST', '/api/v1/jobs/default/load/run', { 'idempotency-key': key }, {});
      assert.equal(JSON.parse(again.text).order, order);
    }
  });

  it('would lose some without the next master: the load does tell', { timeout: 120_000 }, async () => {
    await nginx.stop();
    nginx = await startNginx(
      join(folder, 'two'),
      [addressOf(0), addressOf(1)],
      [['proxy_next_upstream error timeout invalid_header non_idempotent;', 'proxy_next_upstream off;']],
    );
    const busy = load(12, 'lose');
    await busy.more(60);
    await masters[0]?.end('SIGKILL');
    await busy.more(60);
    await busy.stop();
    assert.ok(busy.failed.length > 0);
    assert.ok(
      busy.failed.every((one) => /502.*server_unavailable|503/.test(one)),
      busy.failed[0],
    );
  });
});

describe('nginx by itself', { timeout: 240_000 }, () => {
  let nginx: Nginx;
  /** A master that answers, and one that takes a request and dies of it. */
  const seen: string[] = [];
  const good = createServer((asked, response) => {
    seen.push(`good ${asked.method}`);
    // As large as a browser takes it, beside the other headers of a master.
    if (asked.url === '/api/v1/sign-in/renew')
      response.setHeader('set-cookie', `c=${'r'.repeat(3_900)}`).setHeader('x-others', 'x'.repeat(700));
    asked.resume().on('end', () => response.end('{}'));
  });
  const dying = createServer((asked) => {
    seen.push(`dying ${asked.method}`);
    asked.resume().on('end', () => asked.socket.destroy());
  });
  const portOf = (server: typeof good) => (server.address() as AddressInfo).port;

  before(async () => {
    for (const server of [good, dying]) await once(server.listen(0, '127.0.0.1'), 'listening');
    nginx = await startNginx(
      join(folder, 'three'),
      [`127.0.0.1:${portOf(dying)}`, `127.0.0.1:${portOf(good)}`],
      [
        // The dying one is asked each time.
        ['max_fails=1', 'max_fails=0'],
      ],
    );
  });
  after(async () => {
    await nginx?.stop();
    for (const server of [good, dying]) {
      server.close();
      server.closeAllConnections();
    }
  });

  /** What became of a request whose turn it was at the dying master. */
  async function dies(method: string, path: string, headers: Record<string, string> = {}) {
    const asked = async () => {
      seen.length = 0;
      const { status, text } = await nginx.ask(method, path, headers, method === 'GET' ? undefined : '{}');
      return { status, text, seen: [...seen] };
    };
    return await until(
      'the turn of the dying master',
      asked,
      (answer) => answer.seen[0]?.startsWith('dying') === true,
    );
  }

  it('repeats what may be repeated', async () => {
    for (const [method, headers] of [
      ['GET', {}],
      ['PUT', {}],
      ['DELETE', {}],
      ['POST', { 'idempotency-key': 'k' }],
    ] as const) {
      const { status, seen } = await dies(method, '/api/v1/jobs/default/a', headers);
      assert.deepEqual([status, seen], [200, [`dying ${method}`, `good ${method}`]]);
    }
  });

  it('sends no other POST twice, and says that it can not know', async () => {
    for (const path of [
      '/api/v1/jobs/default/a/run',
      '/job/save',
      '/api/v1/sign-in',
      '/api/v1/sign-in/renew',
    ]) {
      const { status, text, seen } = await dies('POST', path);
      assert.deepEqual([status, seen], [502, ['dying POST']]);
      const { code, detail } = JSON.parse(text);
      assert.equal(code, 'server_unavailable');
      assert.match(detail, /may have been done/);
    }
  });

  /** At once: one after the other, a slow host would be as slow as is allowed. */
  const sixty = (path: string) => Promise.all(Array.from({ length: 60 }, () => nginx.ask('GET', path)));

  it('lets the largest cookie through, and nobody sign in without end', async () => {
    let answer = await nginx.ask('POST', '/api/v1/sign-in/renew', {}, '{}');
    while (answer.status === 502) answer = await nginx.ask('POST', '/api/v1/sign-in/renew', {}, '{}');
    assert.deepEqual([answer.status, String(answer.headers['set-cookie']).length], [200, 3_902]);
    const tried = await sixty('/api/v1/sign-in');
    assert.ok(tried.some(({ status }) => status === 429));
  });

  it('lets nobody try tokens without end: 429, in the words of the API', async () => {
    const tried = await sixty('/api/v1/me');
    const refused = tried.filter(({ status }) => status === 429);
    const taken = tried.filter(({ status }) => status === 200);
    assert.ok(refused.length >= 30 && taken.length >= 20, `${refused.length} refused, ${taken.length} taken`);
    const [one] = refused;
    assert.match(one?.headers['content-type'] ?? '', /^application\/problem\+json/);
    assert.equal(one?.headers['retry-after'], '10');
    assert.equal(JSON.parse(one?.text ?? '').code, 'too_many_requests');
    // Who is signed in works on.
    assert.equal((await nginx.ask('GET', '/api/v1/jobs')).status, 200);
  });
});

describe('nginx before one master that lives and one that does not', { timeout: 240_000 }, () => {
  /** Answers all but logs, which it never does. */
  const alone = createServer((asked, response) => {
    if (!asked.url?.endsWith('/log')) response.end('{}');
  });
  let masters: string[];
  before(async () => {
    await once(alone.listen(0, '127.0.0.1'), 'listening');
    const [dead = 0] = await freePorts(1);
    masters = [`127.0.0.1:${dead}`, `127.0.0.1:${(alone.address() as AddressInfo).port}`];
  });
  after(() => {
    alone.close();
    alone.closeAllConnections();
  });

  /** What twenty requests are answered with, after one to which there was no answer in time. */
  async function afterSlow(name: string, changes: readonly (readonly [from: string, to: string])[]) {
    const nginx = await startNginx(join(folder, name), masters, [
      // Of a log alone: nothing else here is ever slow enough.
      ['proxy_read_timeout 60s;', 'proxy_read_timeout 1s;'],
      // Who is left alone is so until the end.
      ['fail_timeout=1s', 'fail_timeout=1h'],
      ...changes,
    ]);
    try {
      const slow = await nginx.ask('GET', '/api/v1/runs/a/log');
      assert.ok(slow.status === 502 || slow.status === 504, `${slow.status}`);
      // It writes that down when the answer is through.
      await until('both to have been asked', () =>
        masters.every((master) => nginx.asked().join().includes(master)),
      );
      const answers = await Promise.all(Array.from({ length: 20 }, () => nginx.ask('GET', '/api/v1/jobs')));
      return new Set(answers.map(({ status }) => status));
    } finally {
      await nginx.stop();
    }
  }

  it('asks on where one answer was slow', async () => {
    assert.deepEqual(await afterSlow('four', []), new Set([200]));
  });

  it('would have nobody left to ask without the servers that are asked at last: the slow answer does tell', async () => {
    const none = masters.map((master): [string, string] => [`server ${master} max_fails=0 backup;`, '']);
    assert.deepEqual(await afterSlow('five', none), new Set([502]));
  });
});
