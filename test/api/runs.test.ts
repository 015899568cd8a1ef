import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { commandLine } from './command-line.ts';
import { type Api, makeApp } from './make-app.ts';

const run = 'default~a~o1~1';
const at = `/api/v1/runs/${run}`;
const log = (query = '') => `${at}/log${query}`;

let api: Api;
let clock: VirtualClock;
beforeEach(async () => {
  clock = new VirtualClock();
  api = await makeApp({ clock });
  await api.ask('PUT', '/api/v1/jobs/default/a', { body: { command: 'x', schedule: '* * * * *' } });
});
afterEach(() => api.close());

describe("a run's log", () => {
  const page = async (query: string) => (await api.ask('GET', log(query))).json;

  it('is read piece by piece, and done when the run has ended and all has been read', async () => {
    await api.ran({ id: run, state: 'running' });
    await api.said(run, 0, 'one\n', 0);
    assert.deepEqual(await page(''), { text: 'one\n', from: 0, next: 4, done: false, droppedBytes: 0 });
    await api.said(run, 1, 'two\n', 4);
    await api.ran({ id: run, state: 'succeeded', bytes: 8 });
    assert.deepEqual(await page('?from=4'), { text: 'two\n', from: 4, next: 8, done: true, droppedBytes: 0 });
    assert.deepEqual(await page('?from=8'), { text: '', from: 8, next: 8, done: true, droppedBytes: 0 });
  });

  it('is not done while what a run that has ended has printed is still on its way, within an hour', async () => {
    const [id, old] = ['default~underway~o~1', 'default~old~o~1'];
    const read = async (of: string, from = 0) =>
      (await api.ask('GET', `/api/v1/runs/${of}/log?from=${from}`)).json;
    const ended = { state: 'succeeded', bytes: 8 } as const;
    await api.ran({ ...ended, id, endedAt: clock.now() - 60_000 });
    await api.said(id, 0, 'one\n', 0);
    assert.deepEqual(await read(id), { text: 'one\n', from: 0, next: 4, done: false, droppedBytes: 0 });
    assert.equal((await read(id, 4)).done, false);
    await api.said(id, 1, 'two\n', 4);
    assert.deepEqual(await read(id, 4), { text: 'two\n', from: 4, next: 8, done: true, droppedBytes: 0 });
    await api.ran({ ...ended, id: old, endedAt: clock.now() - 3_700_000 });
    assert.equal((await read(old)).done, true);
  });
  it('is done, and tells how much is missing, when its worker has nothing left to send', async (t) => {
    const loads = t.mock.method(api.history, 'loads');
    const empty = (spoolEmptyAt: number | null) =>
      api.history.saveLoad({
        ...{ id: 'w1', at: clock.now(), running: 0, revision: '1', cpu: 0, memory: 0, clockSkewMs: 0 },
        spoolEmptyAt,
      });
    const ended = { id: run, state: 'succeeded', worker: 'w1', endedAt: clock.now() } as const;
    await api.said(run, 0, 'head', 0);
    await api.ran({ ...ended, bytes: 100, droppedBytes: 90 });
    const waits = async (from: number) => {
      const asked = page(`?from=${from}&wait=20`);
      await clock.until(asked);
      return await asked;
    };
    // Empty before the record came: what it had to say of this run may have been written since.
    await empty(clock.now());
    assert.deepEqual(await waits(4), { text: '', from: 4, next: 4, done: false, droppedBytes: 0 });
    const follows = page('?from=4&wait=20');
    await clock.advance(3_000);
    await empty(clock.now());
    await clock.until(follows);
    assert.deepEqual(await follows, { text: '', from: 4, next: 100, done: true, droppedBytes: 96 });
    // Each look of each reader costs one worker's figures, however many workers there are.
    assert.deepEqual([...new Set(loads.mock.calls.map((call) => String(call.arguments)))], ['w1']);
  });

  it('whose end was left out and counted waits for nothing', async () => {
    await api.said(run, 0, 'head', 0);
    await api.ran({ id: run, worker: 'w1', endedAt: clock.now(), bytes: 10, droppedBytes: 6 });
    assert.deepEqual(await page(''), { text: 'head', from: 0, next: 4, done: false, droppedBytes: 0 });
    assert.deepEqual(await page('?from=4'), { text: '', from: 4, next: 10, done: true, droppedBytes: 6 });
  });

  it('that was cut in its middle is not done while its end is on its way, from wherever it is read', async () => {
    await api.said(run, 0, 'h'.repeat(20), 0);
    await api.said(run, 1, 't'.repeat(10), 80);
    await api.ran({ id: run, worker: 'w1', endedAt: clock.now(), bytes: 100, droppedBytes: 60 });
    const under = { text: '', done: false, droppedBytes: 0 };
    assert.deepEqual(await page('?from=90'), { ...under, from: 90, next: 90 });
    assert.deepEqual(await page('?from=95'), { ...under, from: 95, next: 95 });
    const waited = page('?from=90&wait=20');
    await clock.advance(1_000);
    await api.said(run, 2, 'e'.repeat(10), 90);
    await clock.until(waited);
    assert.deepEqual(await waited, {
      text: 'e'.repeat(10),
      from: 90,
      next: 100,
      done: true,
      droppedBytes: 0,
    });
    // And while what is left is read again, what comes counts: all that was kept is here, the end was not.
    const cut = 'default~a~o2~1';
    const end = async (from: number, wait = 0) =>
      (await api.ask('GET', `/api/v1/runs/${cut}/log?from=${from}&wait=${wait}`)).json;
    await api.said(cut, 0, 'h'.repeat(20), 0);
    await api.ran({ id: cut, worker: 'w1', endedAt: clock.now(), bytes: 100, droppedBytes: 70 });
    assert.equal((await end(90)).done, false);
    const follows = end(90, 20);
    await clock.advance(1_000);
    await api.said(cut, 1, 't'.repeat(10), 80);
    await clock.until(follows);
    assert.deepEqual(await follows, { text: '', from: 90, next: 100, done: true, droppedBytes: 10 });
  });

  it('that is raw says whether its end is in it; so does the command line, with what to do', async () => {
    const raw = async () => {
      const { headers } = await api.request('GET', log(), { headers: { accept: 'text/plain' } });
      return [headers.get('x-cronfleet-complete'), headers.get('x-cronfleet-dropped-bytes')];
    };
    const printed = async (...flags: string[]) => {
      const asked = commandLine(api, 'logs', run, ...flags);
      await clock.until(asked);
      return await asked;
    };
    await api.ran({ id: run, state: 'running' });
    assert.deepEqual(await raw(), ['false', '0']);
    assert.match((await printed()).notes, /^it has not ended; cronfleet logs .* -f goes on/);
    await api.said(run, 0, 'head', 0);
    await api.ran({ id: run, worker: 'w1', endedAt: clock.now(), bytes: 100, droppedBytes: 90 });
    assert.deepEqual(await raw(), ['false', '90']);
    const short = await printed();
    assert.equal(short.out, 'head');
    assert.match(short.notes, /^\nthis is not all of its 100 bytes: the rest waits on w1 for the history/);
    await api.said(run, 1, '123456', 94);
    assert.deepEqual(await raw(), ['true', '90']);
    const whole = await printed();
    assert.deepEqual([whole.out, whole.notes], ['head123456', '']);
    const followed = await printed('-f');
    assert.deepEqual(
      [followed.out, followed.notes],
      ['head123456', '\n90 bytes of its output were not kept\n'],
    );
    await api.ran({ id: 'default~a~o9~1', state: 'lost' });
    assert.match((await commandLine(api, 'logs', 'default~a~o9~1')).notes, /it was lost/);
    await api.ran({ id: 'default~a~o8~1', state: 'skipped' });
    assert.equal((await commandLine(api, 'logs', 'default~a~o8~1')).notes, '');
  });

  it('never shows half a character, while its rest may come', async () => {
    const euro = new TextEncoder().encode('€');
    await api.ran({ id: run, state: 'running' });
    await api.said(run, 0, new Uint8Array([65, ...euro.subarray(0, 2)]), 0);
    assert.deepEqual(await page(''), { text: 'A', from: 0, next: 1, done: false, droppedBytes: 0 });
    assert.equal((await page('?from=1')).next, 1);
    await api.said(run, 1, euro.subarray(2), 3);
    assert.equal((await page('?from=1')).text, '€');
  });

  it('shows what is no UTF-8 as U+FFFD, and a byte order mark as it stands', async () => {
    await api.ran({ id: run });
    await api.said(run, 0, new Uint8Array([0xef, 0xbb, 0xbf, 0xff, 65, 0xe2]), 0);
    assert.deepEqual(await page(''), {
      text: '\ufeff\ufffdA\ufffd',
      from: 0,
      next: 6,
      done: true,
      droppedBytes: 0,
    });
  });

  it('steps over what was not kept, counts it, and is not held up by a character that the gap cut', async () => {
    await api.ran({ id: run, state: 'running' });
    await api.said(run, 0, new Uint8Array([65, 0xe2]), 0);
    await api.said(run, 1, 'tail', 100);
    assert.deepEqual(await page(''), { text: 'A\ufffd', from: 0, next: 2, done: false, droppedBytes: 0 });
    assert.deepEqual(await page('?from=2'), {
      text: 'tail',
      from: 2,
      next: 104,
      done: false,
      droppedBytes: 98,
    });
  });

  it('is waited for until there is more', async () => {
    await api.ran({ id: run, state: 'running' });
    const waited = page('?wait=20');
    await clock.advance(1_000);
    await api.said(run, 0, 'late\n', 0);
    assert.equal((await waited).text, 'late\n');
  });

  it('is waited for no longer than was said, nor when the run has ended', async () => {
    await api.ran({ id: run, state: 'running' });
    const empty = page('?wait=20');
    await clock.advance(20_000);
    assert.deepEqual(await empty, { text: '', from: 0, next: 0, done: false, droppedBytes: 0 });
    const ended = page('?wait=20');
    await clock.advance(1);
    await api.ran({ id: run, state: 'failed' });
    assert.equal((await ended).done, true);
  });

  it('is the whole, byte for byte, as text/plain', async () => {
    await api.ran({ id: run });
    const bytes = new Uint8Array(1_500_000).map((_, i) => i % 251);
    for (let seq = 0; seq < 15; seq += 1)
      await api.said(run, seq, bytes.subarray(seq * 100_000, (seq + 1) * 100_000), seq * 100_000);
    const response = await api.request('GET', log(), { headers: { accept: 'text/plain' } });
    assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.deepEqual(new Uint8Array(await response.arrayBuffer()), bytes);
    const rest = await api.request('GET', log('?from=1499990'), { headers: { accept: 'text/plain' } });
    assert.equal((await rest.arrayBuffer()).byteLength, 10);
  });

  it('is JSON for who takes JSON first, whatever else they take', async () => {
    await api.ran({ id: run });
    for (const accept of ['application/json, text/plain, */*', '*/*', ''])
      assert.match(
        (await api.ask('GET', log(), { headers: { accept } })).headers.get('content-type') ?? '',
        /json/,
      );
  });
});

describe('a run', () => {
  it('takes no more variables than the claim of its order can carry twice', async () => {
    const order = (variables: number) => {
      const env = Array.from({ length: variables }, (_, n) => [`A${n}`, 'x'.repeat(4_000)]);
      return api.ask('POST', '/api/v1/jobs/default/a/run', { body: { env: Object.fromEntries(env) } });
    };
    assert.equal((await order(60)).status, 202);
    const { status, json } = await order(200);
    assert.equal(status, 422);
    assert.match(JSON.stringify(json), /env.*expected at most 262144 characters/);
  });

  it('that was ordered is there at once, though no worker has taken it', async () => {
    const { json } = await api.ask('POST', '/api/v1/jobs/default/a/run');
    const shown = await api.ask('GET', `/api/v1/runs/${json.run}`);
    assert.deepEqual([shown.json.state, shown.json.trigger, shown.json.by], ['waiting', 'manual', 'admin']);
    assert.equal((await api.ask('GET', `/api/v1/runs/${json.run}/log`)).json.done, false);
  });

  it('that was ordered can be taken back, twice as well as once', async () => {
    const { json } = await api.ask('POST', '/api/v1/jobs/default/a/run');
    for (let i = 0; i < 2; i += 1) {
      const killed = await api.ask('POST', `/api/v1/runs/${json.run}/kill`);
      assert.deepEqual([killed.status, killed.json.state], [202, 'cancelled']);
    }
    const list = await api.ask('GET', '/api/v1/runs?job=a&state=cancelled');
    assert.deepEqual(
      list.json.items.map((one: { id: string }) => one.id),
      [json.run],
    );
    const told = await api.history.audit({ limit: 10 });
    assert.equal(told.items.filter(({ what }) => what === 'run.kill').length, 1);
  });

  it('of a backfill is taken back from its next one on only', async () => {
    const times = { from: '2026-11-22T16:00:00Z', to: '2026-11-22T16:02:00Z' };
    const { json } = await api.ask('POST', '/api/v1/jobs/default/a/backfill', { body: times });
    assert.equal(json.count, 3);
    const [first] = json.runs;
    const later = first.replace('160000', '160200');
    assert.deepEqual((await api.ask('POST', `/api/v1/runs/${later}/kill`)).json.code, 'run_waiting');
    assert.equal(
      (await api.ask('POST', `/api/v1/runs/${first}/kill`)).json.until,
      '2026-11-22T16:02:00.000Z',
    );
  });

  it('that lives is killed once, however often it is asked for', async () => {
    await api.holds(run);
    const first = await api.ask('POST', `${at}/kill`, { body: { signal: 'INT', grace: '3s' } });
    assert.deepEqual([first.status, first.json.kill.by, first.json.kill.signalledAt], [202, 'admin', null]);
    const second = await api.ask('POST', `${at}/kill`, { as: 'operator' });
    assert.deepEqual(second.json.kill, first.json.kill);
    assert.equal((await api.ask('POST', `${at}/kill`, { body: { grace: '2h' } })).status, 422);
  });

  it('that has ended otherwise can not be killed, one that was lost can', async () => {
    await api.ran({ id: run, state: 'failed' });
    assert.deepEqual((await api.ask('POST', `${at}/kill`)).json.code, 'run_ended');
    await api.ran({ id: 'default~a~o2~1', state: 'lost' });
    assert.equal((await api.ask('POST', '/api/v1/runs/default~a~o2~1/kill')).status, 202);
  });

  it('that went on after it was closed shows both ends, in times that people read', async () => {
    await api.ran({ id: run, state: 'lost', endedAt: 0 });
    await api.ran({ id: run, state: 'succeeded', endedAt: 1_000 });
    const { json } = await api.ask('GET', at);
    assert.deepEqual(
      [json.state, json.also.state, json.also.endedAt],
      ['lost', 'succeeded', '1970-01-01T00:00:01.000Z'],
    );
  });

  it('of another group is not shown, and its list is filtered', async () => {
    await api.ran({ id: run, instant: 0 });
    await api.ran({ id: 'g~a~o1~1', instant: 0 });
    const how = { as: 'viewer' as const, groups: ['g'] };
    assert.equal((await api.ask('GET', at, how)).status, 403);
    const list = await api.ask('GET', '/api/v1/runs', how);
    assert.deepEqual(
      list.json.items.map((one: { id: string }) => one.id),
      ['g~a~o1~1'],
    );
  });

  it('is listed by job in each of the ways that name one', async () => {
    await api.ran({ id: 'g~a~o1~1', instant: 0 });
    for (const query of ['job=g/a', 'job=a&group=g', 'group=g', 'job=g/a&group=g'])
      assert.equal((await api.ask('GET', `/api/v1/runs?${query}`)).json.items.length, 1, query);
    assert.equal((await api.ask('GET', '/api/v1/runs?job=a')).json.items.length, 0);
    assert.equal((await api.ask('GET', '/api/v1/runs?job=g/a&group=h')).status, 400);
    assert.equal((await api.ask('GET', '/api/v1/runs?job=a/b/c')).status, 400);
  });

  it('that is none is not found, and what can be none is malformed', async () => {
    assert.deepEqual((await api.ask('GET', at)).json.code, 'run_not_found');
    assert.deepEqual((await api.ask('GET', '/api/v1/runs/nonsense')).json.code, 'run_id_invalid');
  });
});
