import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { listChannels } from '#core/cluster/channels.ts';
import { alertsOfRun } from '#core/decide/alerts/run-alerts.ts';
import { type Alert, newAlert } from '#core/model/alert.ts';
import { instantText } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';
import { KvError } from '#core/ports/kv.ts';
import { deliverAlerts } from '#functions/alerts/deliver.ts';
import { keepWatching, watchOnce } from '#functions/alerts/keep-watching.ts';
import { mailSink, webhookReceiver } from '#test/receivers.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { commandLine } from './command-line.ts';
import { type Api, makeApp } from './make-app.ts';

const secret = 'a secret of some length';
let api: Api;
let clock: VirtualClock;
let hook: Awaited<ReturnType<typeof webhookReceiver>>;
let mails: Awaited<ReturnType<typeof mailSink>>;
beforeEach(async () => {
  clock = new VirtualClock();
  [hook, mails] = await Promise.all([webhookReceiver(), mailSink()]);
  api = await makeApp({ clock, fetch });
});
afterEach(async () => {
  await Promise.all([api.close(), hook.close(), mails.close()]);
});

const put = (path: string, body: object) => api.ask('PUT', `/api/v1${path}`, { body });
const channel = async (name: string, body: object) =>
  assert.equal((await put(`/channels/${name}`, body)).status, 201);
const webhook = (more: object = {}) => channel('hook', { type: 'webhook', url: hook.url, secret, ...more });
const email = (more: object = {}) =>
  channel('mail', { type: 'email', url: mails.url, from: 'cron@here', to: ['ops@there'], ...more });
const alerts = async (query = '') => (await api.ask('GET', `/api/v1/alerts${query}`)).json.items;
const watchers = () => ({ ...api, fetch });
const channelsNow = () => listChannels(api.kv, api.layout);
const turn = () => watchOnce(watchers(), []);
const bodies = () => hook.inbox.all.map(({ body }) => JSON.parse(body));

/** A job that tells both channels, and how a run of it ended; `at`: in minutes. */
const saved = (name = 'a', more: object = {}) =>
  put(`/jobs/default/${name}`, {
    ...{ command: 'x', schedule: '0 0 1 1 *' },
    notify: [{ on: ['failed', 'recovered'], to: ['hook', 'mail'] }],
    ...more,
  });
async function ended(at: number, state: Run['state'], name = 'a'): Promise<void> {
  const instant = clock.now() + at * 60_000;
  const record = await api.ran({
    ...{ id: `default~${name}~${instantText(instant)}~1`, state, instant },
    ...{ startedAt: instant, endedAt: instant, reason: state === 'failed' ? 'exit status 3' : '' },
  });
  const { job } = (await api.ask('GET', `/api/v1/jobs/default/${name}`)).json;
  await api.history.addAlerts(alertsOfRun(job, record));
}

describe('an alert', () => {
  it('reaches webhook and mail server once, stands until the job is well, and then that is told', async () => {
    await webhook();
    await email();
    await saved();
    await ended(-2, 'failed');
    await turn();
    await turn();
    const [sent] = bodies();
    assert.equal(hook.inbox.all.length, 1);
    assert.equal(sent.subject, 'default/a failed: exit status 3');
    assert.equal(sent.alerts[0].id, sent.id);
    const { text, to, from } = await mails.inbox.first(() => true);
    assert.deepEqual([from, to], ['cron@here', ['ops@there']]);
    assert.match(text, /Subject: \[cronfleet\] default\/a failed: exit status 3/);
    assert.match(text, new RegExp(`Message-ID: <${sent.id}@cronfleet>`));
    const [open] = await alerts('?open=true');
    assert.deepEqual([open.kind, open.told.length, open.waits], ['failed', 2, false]);

    await ended(-1, 'succeeded');
    await turn();
    await turn();
    assert.equal(bodies().at(-1).subject, 'default/a is well again');
    assert.deepEqual([hook.inbox.all.length, mails.inbox.all.length], [2, 2]);
    assert.deepEqual(await alerts('?open=true'), []);
    assert.deepEqual(
      (await alerts()).map(({ kind }: Alert) => kind),
      ['recovered', 'failed'],
    );
  });

  it('that only repeats another is not told again', async () => {
    await webhook();
    await email();
    await saved();
    for (const at of [-3, -2, -1]) {
      await ended(at, 'failed');
      await turn();
    }
    assert.equal(hook.inbox.all.length, 1);
    const [last, , first] = await alerts();
    assert.deepEqual([last.partOf, last.open, first.open], [first.id, false, true]);
  });

  it('of which nobody is told but its end stands once, however often it comes up', async () => {
    await webhook();
    await saved('a', { notify: [{ on: ['recovered'], to: ['hook'] }] });
    for (const at of [-4, -3, -2]) {
      await ended(at, 'failed');
      await turn();
    }
    assert.equal((await alerts('?open=true')).length, 1);
    await ended(-1, 'succeeded');
    await turn();
    assert.deepEqual(
      bodies().map(({ subject }) => subject),
      ['default/a is well again'],
    );
  });

  it('goes out at once, and its end too, from a watchdog whose clock is an hour ahead', async () => {
    await webhook({ on: ['worker_dead'] });
    await email();
    await saved();
    await ended(-2, 'failed');
    const beat = { running: 0, revision: '1', cpu: 0, memory: 0, clockSkewMs: 0 };
    await api.history.saveLoad({ ...beat, id: 'w2', at: clock.now() - 60_000, left: false });
    clock.step(3_600_000);
    const history = new Proxy(api.history, {
      get: (held, name) =>
        name === 'now' ? () => Promise.resolve(clock.now() - 3_600_000) : Reflect.get(held, name),
    });
    const look = () => watchOnce({ ...watchers(), history }, []);
    await look();
    assert.deepEqual(
      bodies()[0].alerts.map(({ kind }: Alert) => kind),
      ['failed', 'worker_dead'],
    );
    await ended(-61, 'succeeded');
    await look();
    assert.equal(bodies()[1].subject, 'default/a is well again');
  });

  it('is signed over time and body', async () => {
    await webhook();
    await email();
    await saved();
    await ended(-1, 'failed');
    await turn();
    const { headers, body } = hook.inbox.all[0] ?? assert.fail();
    const mac = createHmac('sha256', secret)
      .update(`${headers['x-cronfleet-timestamp']}.${body}`)
      .digest('hex');
    assert.equal(headers['x-cronfleet-signature'], `sha256=${mac}`);
    assert.equal(headers['x-cronfleet-id'], JSON.parse(body).id);
  });

  it('goes out once though two watchdogs look at the same moment', async () => {
    await webhook({ on: [] });
    const some = Array.from({ length: 20 }, (_, n) =>
      newAlert({
        id: `x~${n}`,
        kind: 'failed',
        about: `g/${n}`,
        at: clock.now(),
        title: `${n}`,
        to: ['hook'],
      }),
    );
    await api.history.addAlerts(some);
    const channels = await channelsNow();
    await Promise.all([1, 2, 3].map(() => deliverAlerts(watchers(), channels)));
    const told = bodies().flatMap(({ alerts: each }) => each.map(({ id }: Alert) => id));
    assert.deepEqual(told.toSorted(), some.map(({ id }) => id).sort());
  });

  it('in a digest that was made anew has another id, so that nobody takes it for what he has had', async () => {
    await webhook();
    const one = (id: string, name: string) =>
      newAlert({ id, kind: 'failed', about: `g/${id}`, at: clock.now(), title: name, to: ['hook'] });
    await api.history.addAlerts([one('a', 'a'), one('b', 'b')]);
    hook.answers(503);
    await deliverAlerts(watchers(), await channelsNow());
    await api.history.endAlerts(['b'], clock.now(), true);
    await api.history.addAlerts([one('c', 'c')]);
    await clock.advance(10_000);
    await deliverAlerts(watchers(), await channelsNow());
    const [first, second] = bodies();
    assert.deepEqual([first.alerts.length, second.alerts.length], [2, 2]);
    assert.notEqual(first.id, second.id);
  });

  it('is taken over by another where a watchdog dies with it in its hands', async () => {
    await webhook();
    await api.history.addAlerts([
      newAlert({ id: 'x', kind: 'failed', about: 'g/a', at: clock.now(), title: 'x', to: ['hook'] }),
    ]);
    const now = clock.now();
    await api.history.claimAlerts({ by: 'dead', now, until: now + 120_000, limit: 9 });
    await deliverAlerts(watchers(), await channelsNow());
    assert.equal(hook.inbox.all.length, 0);
    await clock.advance(120_000);
    await deliverAlerts(watchers(), await channelsNow());
    assert.deepEqual(
      bodies().map(({ id }) => id),
      ['x'],
    );
  });

  it('is tried again by the same id until somebody takes it, and the others are not told again', async () => {
    await webhook();
    await email();
    await saved();
    hook.answers(503);
    await ended(0, 'failed');
    await turn();
    assert.match((await alerts())[0].problem, /^hook: answered with HTTP 503/);
    hook.answers(200);
    await clock.advance(10_000);
    await turn();
    const [first, second] = bodies();
    assert.equal(first.id, second.id);
    assert.deepEqual([hook.inbox.all.length, mails.inbox.all.length], [2, 1]);
    assert.equal((await alerts())[0].problem, null);
    const { type } = api.told.find((event) => event.type === 'alert.untold') ?? assert.fail();
    assert.equal(type, 'alert.untold');
  });

  it('of a storm is one digest', async () => {
    await webhook();
    await email();
    for (let n = 0; n < 60; n++) {
      await saved(`j${n}`);
      await ended(-1, 'failed', `j${n}`);
    }
    await turn();
    assert.equal(hook.inbox.all.length, 1);
    const [{ subject, alerts: each, text }] = bodies();
    assert.match(subject, /^60 alerts: default\/j\d+ failed/);
    assert.equal(each.length, 60);
    assert.match(text, /and 10 more$/);
  });

  it('of a storm is one digest though several watchdogs look at the same moment', async () => {
    await webhook({ on: [] });
    const storm = Array.from({ length: 2_500 }, (_, n) =>
      newAlert({
        ...{ id: `x~${n}`, kind: 'failed', about: `g/${n}`, at: clock.now(), title: `${n}`, to: ['hook'] },
      }),
    );
    await api.history.addAlerts(storm);
    const channels = await channelsNow();
    await Promise.all([1, 2, 3].map(() => deliverAlerts(watchers(), channels)));
    assert.equal(hook.inbox.all.length, 1);
    assert.match(bodies()[0].subject, /^2500 alerts: /);
  });
});

describe('the watchdog', () => {
  it('tells the channels that ask of a worker that died, and that it is back', async () => {
    await webhook({ on: ['worker_dead'] });
    await email();
    await api.registered('w1');
    const beat = { running: 0, revision: '1', cpu: 0, memory: 0, clockSkewMs: 0 };
    for (const id of ['w2', 'w3'])
      await api.history.saveLoad({ ...beat, id, at: clock.now(), left: id === 'w3' });
    await clock.advance(60_000);
    await turn();
    assert.match(bodies()[0].subject, /^worker w2 is dead, last heard of at /);
    await turn();
    await api.registered('w2');
    await turn();
    assert.match(bodies()[1].subject, /^over: worker w2 is dead/);
    assert.deepEqual([hook.inbox.all.length, mails.inbox.all.length], [2, 0]);
  });

  it('tells of a run that should be through by now, of jobs nobody fits and of what is overdue', async () => {
    await webhook({ on: ['no_worker', 'overdue'] });
    await api.registered('w1');
    const notify = [{ on: ['late'], to: ['hook'] }];
    await saved('slow', { finishBy: '30s', schedule: '@yearly', notify });
    await saved('unfit', { target: { workers: ['w9'] }, notify: [] });
    await saved('overdue', { schedule: '* * * * *', notify: [] });
    await api.holds(`default~slow~${instantText(clock.now())}~1`, { instant: clock.now() });
    await clock.advance(31_000);
    await turn();
    assert.match(bodies()[0].subject, /^default\/slow is late/);
    await clock.advance(120_000);
    await turn();
    const [, digest] = bodies();
    assert.deepEqual(
      digest.alerts.map(({ kind }: Alert) => kind),
      ['no_worker', 'overdue'],
    );
  });

  it('delivers from its timers, and ends when it is told to', async () => {
    await webhook();
    await email();
    await saved();
    await ended(0, 'failed');
    const stop = new AbortController();
    const watching = keepWatching(watchers(), stop.signal);
    await clock.advance(5_000);
    await hook.inbox.first(({ body }) => body.includes('default/a failed'));
    stop.abort();
    await watching;
    assert.equal(clock.pending, 0);
  });
});

describe('a store that does not answer', () => {
  const away = () => Promise.reject(new KvError('unavailable', 'connection refused'));
  /** What was posted. Nothing here takes real time, so that none of it is late by the virtual clock. */
  let posted: string[] = [];
  let answer = 204;
  let deaf = '';
  const post = async (url: unknown, how?: RequestInit) => {
    if (url === deaf) return new Response(null, { status: 500 });
    posted.push(JSON.parse(String(how?.body)).subject);
    return new Response(null, { status: answer });
  };
  beforeEach(() => {
    posted = [];
    answer = 204;
    deaf = '';
  });
  /** Two servers that watch, of which each may have lost a store. */
  async function watching(
    lost: { kv?: boolean; history?: boolean },
    work: () => Promise<void>,
  ): Promise<void> {
    const stop = new AbortController();
    const losing = <S extends object>(store: S, isLost: () => boolean | undefined): S =>
      new Proxy(store, {
        get: (held, name) => {
          const call: unknown = Reflect.get(held, name);
          return typeof call !== 'function'
            ? call
            : (...given: unknown[]) => (isLost() ? away() : call.apply(held, given));
        },
      });
    const kv = losing(api.kv, () => lost.kv);
    const history = losing(api.history, () => lost.history);
    const both = [1, 2].map(() => keepWatching({ ...api, fetch: post, kv, history }, stop.signal));
    await clock.advance(5_000);
    await work();
    stop.abort();
    await Promise.all(both);
  }
  for (const [store, title, well] of [
    ['kv', 'the store of jobs does not answer', 'over: the store of jobs does not answer'],
    ['history', 'the history does not answer', 'the history answers again'],
  ] as const)
    it(`is told of once, by two servers together, and that it answers again (${store})`, async () => {
      await webhook({ on: ['store_away'] });
      const lost = { kv: false, history: false };
      await watching(lost, async () => {
        lost[store] = true;
        await clock.advance(20_000);
        assert.deepEqual(posted, [], 'not for a moment');
        await clock.advance(60_000);
        assert.deepEqual(posted, [title]);
        lost[store] = false;
        await clock.advance(60_000);
      });
      assert.deepEqual(posted, [title, well]);
    });

  it('is told of again until somebody has heard of it', async () => {
    await webhook({ on: ['store_away'] });
    answer = 503;
    await watching({ history: true }, async () => {
      await clock.advance(60_000);
      assert.ok(posted.length > 2, `${posted.length} tries`);
      answer = 200;
      await clock.advance(20_000);
      posted = [];
      await clock.advance(120_000);
      assert.deepEqual(posted, []);
    });
  });

  it('is told of once to who hears of it, though another channel is deaf until later', async () => {
    await webhook({ on: ['store_away'] });
    deaf = `${hook.url}/deaf`;
    await channel('deaf', { type: 'webhook', url: deaf, on: ['store_away'] });
    const lost = { history: true };
    await watching(lost, async () => {
      await clock.advance(600_000);
      assert.deepEqual(posted, ['the history does not answer']);
      deaf = '';
      await clock.advance(20_000);
      assert.deepEqual(posted, ['the history does not answer', 'the history does not answer']);
      posted = [];
      lost.history = false;
      await clock.advance(60_000);
      assert.deepEqual(posted, ['the history answers again', 'the history answers again']);
    });
  });

  it('is not told of in quiet hours: but when they end, if it still is away', async () => {
    const time = (ms: number) => new Date(clock.now() + ms).toISOString().slice(11, 16);
    const quiet = { from: time(-60_000), to: time(600_000) };
    await webhook({ on: ['store_away'], quiet });
    const lost = { history: true };
    await watching(lost, async () => {
      await clock.advance(120_000);
      lost.history = false;
      await clock.advance(60_000);
      lost.history = true;
      await clock.advance(300_000);
      assert.deepEqual(posted, []);
      await clock.advance(180_000);
      assert.deepEqual(posted, ['the history does not answer']);
    });
  });

  it('is told to nobody that is away for a moment only', async () => {
    await webhook({ on: ['store_away'] });
    const lost = { kv: false, history: false };
    await watching(lost, async () => {
      lost.kv = true;
      await clock.advance(20_000);
      lost.kv = false;
      await clock.advance(60_000);
    });
    assert.deepEqual(posted, []);
  });
});

describe('a channel', () => {
  it('of each kind is tried out for real', async () => {
    await webhook();
    await channel('chat', { type: 'slack', url: `${hook.url}/slack` });
    await email();
    for (const name of ['hook', 'chat', 'mail']) {
      const { json } = await api.ask('POST', `/api/v1/channels/${name}/test`);
      assert.equal(json.delivered, true, JSON.stringify(json));
    }
    const slack = hook.inbox.all.find(({ path }) => path === '/slack');
    assert.deepEqual(JSON.parse(slack?.body ?? ''), { text: 'cronfleet: admin tries out channel chat' });
    assert.match(mails.inbox.all[0]?.text ?? '', /admin tries out channel mail/);
  });
  it('that can not be reached says why', async () => {
    await email({ to: ['nobody@there'] });
    const refused = (await api.ask('POST', '/api/v1/channels/mail/test')).json;
    assert.deepEqual([refused.delivered, refused.status], [false, 550]);
    await channel('away', { type: 'email', url: 'smtp://127.0.0.1:1', from: 'a@b', to: ['c@d'] });
    const away = (await api.ask('POST', '/api/v1/channels/away/test')).json;
    assert.deepEqual([away.delivered, away.status], [false, null]);
    assert.match(away.detail, /ECONNREFUSED/);
  });
  it('whose mail server takes its time step by step holds up nobody for long', async () => {
    const met = Promise.withResolvers<void>();
    let there: Socket | null = null;
    const server = createServer((socket) => {
      there = socket;
      // Who hangs up is of no concern here.
      socket.on('error', () => {});
      socket.write('220 wait\r\n');
      socket.once('data', () => met.resolve());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      await channel('slow', { type: 'email', url: `smtp://127.0.0.1:${port}`, from: 'a@b', to: ['c@d'] });
      const answer = api.ask('POST', '/api/v1/channels/slow/test');
      await met.promise;
      await clock.advance(25_000);
      const { delivered, detail } = (await answer).json;
      assert.deepEqual([delivered, detail], [false, 'not taken within 25 s']);
    } finally {
      (there as Socket | null)?.destroy();
      server.close();
    }
  });
  it('of a webhook may have a name and a password, which go nowhere else', async () => {
    const url = hook.url.replace('http://', 'http://me:h%3Aunter2@');
    await channel('hook', { type: 'webhook', url });
    assert.equal((await api.ask('POST', '/api/v1/channels/hook/test')).json.delivered, true);
    const { authorization = '' } = hook.inbox.all[0]?.headers ?? {};
    assert.equal(Buffer.from(authorization.replace('Basic ', ''), 'base64').toString(), 'me:h:unter2');
    await hook.close();
    const { text } = await api.ask('POST', '/api/v1/channels/hook/test');
    assert.ok(!text.includes('unter2'), text);
    hook = await webhookReceiver();
  });
  it('of Slack is told what a job wrote, not whom it would have called', async () => {
    await channel('chat', { type: 'slack', url: hook.url });
    const title = 'g/a failed: <!channel> a < b && c';
    await api.history.addAlerts([
      newAlert({ id: 'x', kind: 'failed', about: 'g/a', at: clock.now(), title, to: ['chat'] }),
    ]);
    await deliverAlerts(watchers(), await channelsNow());
    assert.equal(bodies()[0].text, 'g/a failed: &lt;!channel&gt; a &lt; b &amp;&amp; c');
  });
  it('never shows its secret, keeps it when it is saved without, and drops it when told', async () => {
    await webhook();
    const signed = async () => (await api.ask('GET', '/api/v1/channels')).json.items[0];
    assert.equal((await signed()).signed, true);
    await put('/channels/hook', { type: 'webhook', url: `${hook.url}/some/key` });
    assert.equal((await signed()).signed, true);
    await put('/channels/hook', { type: 'webhook', url: hook.url, secret: null });
    assert.equal((await signed()).signed, false);
    const audit = (await api.ask('GET', '/api/v1/audit')).text;
    assert.ok(!audit.includes(secret) && !audit.includes('/some/key'));
  });
  it('shows of its address what tells it from others, and as shown it stays what it was', async () => {
    const hooks = { type: 'slack', url: `${hook.url}/services/key` };
    const mailServer = { type: 'email', url: 'smtp://me:hunter2@mail.example:587', from: 'a@b', to: ['c@d'] };
    await channel('chat', hooks);
    await channel('mail', mailServer);
    const { text, json } = await api.ask('GET', '/api/v1/channels');
    assert.ok(!text.includes('key') && !text.includes('hunter2'), text);
    const [chat, mail] = json.items;
    assert.match(chat.url, /\/\*\*\*[0-9a-f]{4}$/);
    assert.ok(chat.url.startsWith(`${hook.url}/***`));
    assert.equal(mail.url, 'smtp://me:***@mail.example:587');
    const seen = async (url: string) => (await put('/channels/other', { type: 'slack', url })).json.url;
    assert.equal(await seen(hooks.url), chat.url);
    assert.notEqual(await seen(`${hook.url}/services/other`), chat.url);
    // What people think up may be guessed, and a hash says whether it was.
    assert.equal(await seen('http://me:hunter2@x/a'), await seen('http://me:hunter3@x/a'));
    await api.ask('DELETE', '/api/v1/channels/other');

    await put('/channels/chat', { ...hooks, url: chat.url });
    await put('/channels/mail', { ...mailServer, url: mail.url });
    assert.deepEqual(
      (await channelsNow()).map(({ url }) => url),
      [hooks.url, mailServer.url],
    );
    // The password of one server is not for another.
    for (const url of ['smtp://me:***@elsewhere.example', 'smtp://you:***@mail.example:587']) {
      const { status, json: problem } = await put('/channels/mail', { ...mailServer, url });
      assert.equal(status, 422, url);
      assert.equal(problem.errors[0].path, 'url');
    }
    assert.equal((await put('/channels/new', { ...hooks, url: chat.url })).status, 422);
  });
  it('is refused with every mistake in it', async () => {
    const bad = {
      ...{ type: 'email', url: 'http://x', from: 'nobody', to: [], on: ['weather'], extra: 1 },
      quiet: { from: '24:00', to: '7', timezone: 'Mars/Base' },
    };
    const { status, json } = await put('/channels/x', bad);
    assert.equal(status, 422);
    assert.deepEqual(json.errors.map(({ path }: { path: string }) => path).sort(), [
      ...['extra', 'from', 'on.0', 'quiet.from', 'quiet.timezone', 'quiet.to', 'to', 'url'],
    ]);
    for (const at of ['00:00', '22:00']) {
      const { json: never } = await put('/channels/x', {
        ...{ type: 'slack', url: 'http://x', quiet: { from: at, to: at } },
      });
      const [one] = never.errors;
      assert.deepEqual([one.path, one.value, one.expected], ['quiet.to', at, 'another time than from']);
    }
    const { json: kind } = await put('/channels/x', { type: 'pigeon', url: 'http://x' });
    assert.deepEqual(
      kind.errors.map(({ path }: { path: string }) => path),
      ['type'],
    );
  });
  it('has to be there before a job can have it told', async () => {
    const refused = await saved();
    assert.equal(refused.status, 422);
    assert.deepEqual(
      refused.json.errors.map(({ path }: { path: string }) => path),
      ['notify.0.to.0', 'notify.0.to.1'],
    );
    const jobs = [{ name: 'a', command: 'x', notify: [{ on: ['lost'], to: ['nobody'] }] }];
    const applied = await api.ask('POST', '/api/v1/apply', { body: { jobs } });
    assert.equal(applied.json.errors[0].path, 'jobs.0.notify.0.to.0');
  });
});

describe('a channel that jobs name', () => {
  it('is not deleted, and they are named, until none names it any more', async () => {
    const take = () => api.ask('DELETE', '/api/v1/channels/hook');
    await webhook();
    const notify = [{ on: ['failed'], to: ['hook'] }];
    for (let i = 0; i < 7; i += 1) await saved(`j${i}`, { notify });
    const { status, json } = await take();
    assert.deepEqual([status, json.code], [409, 'channel_in_use']);
    assert.match(
      json.detail,
      /told of default\/j0, default\/j1, default\/j2, default\/j3, default\/j4 and more/,
    );
    for (let i = 1; i < 7; i += 1) await api.ask('DELETE', `/api/v1/jobs/default/j${i}`);
    assert.match((await take()).json.detail, /told of default\/j0, and nobody/);
    const refused = await commandLine(api, 'channel', 'delete', 'hook');
    assert.equal(refused.code, 1);
    assert.match(refused.notes, /^cronfleet: channel: hook is told of default\/j0, and nobody/);
    await saved('j0', { notify: [] });
    assert.deepEqual(await commandLine(api, 'channel', 'delete', 'hook'), {
      ...{ code: 0, out: 'hook is deleted\n', notes: '' },
    });
    assert.equal((await take()).status, 404);
  });
});

describe('the list of alerts', () => {
  it("shows a token of some groups theirs only, and nobody else's", async () => {
    await api.history.addAlerts(
      ['g/a', 'h/b'].map((job, n) =>
        newAlert({ id: `x${n}`, kind: 'failed', about: job, job, at: n, title: job, to: ['hook'] }),
      ),
    );
    const { json } = await api.ask('GET', '/api/v1/alerts', { as: 'viewer', groups: ['h'] });
    assert.deepEqual(
      json.items.map(({ job }: Alert) => job),
      ['h/b'],
    );
  });
});
