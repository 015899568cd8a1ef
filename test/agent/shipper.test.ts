import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createBreaker } from '#agent/shipper/breaker.ts';
import { createLedger } from '#agent/shipper/create-ledger.ts';
import { newAlert } from '#core/model/alert.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import type { Clock } from '#core/ports/clock.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event, EventOf } from '#core/ports/events.ts';
import { HistoryError } from '#core/ports/history.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { within } from '#test/until.ts';
import { MemoryHistory } from './memory-history.ts';

let dir = '';
let history = new MemoryHistory();
let bus = eventBus();
let clock = new VirtualClock();
let stop = new AbortController();
let running: Promise<void> | null = null;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cronfleet-shipper-'));
  history = new MemoryHistory();
  bus = eventBus();
  clock = new VirtualClock();
  stop = new AbortController();
  running = null;
});
afterEach(async () => {
  stop.abort();
  await running;
  assert.equal(clock.pending, 0, 'no timer is left');
  rmSync(dir, { recursive: true, force: true });
});

function start(using: Clock = clock) {
  const ledger = createLedger({ dir, history, clock: using, ids: { chance: () => 0 }, events: bus });
  running = ledger.run(stop.signal);
  return ledger;
}

function seen<T extends Event['type']>(type: T): Promise<EventOf<T>> {
  const told: Event['type'][] = [];
  const coming = new Promise<EventOf<T>>((resolve) => {
    const off = bus.on((event) => {
      told.push(event.type);
      if (event.type !== type) return;
      off();
      resolve(event as EventOf<T>);
    });
  });
  return within(type, coming, () => told);
}

const record = (n: number | string, more: Partial<Run> = {}): Run =>
  blankRun({
    ...{
      id: `default~j~${n}~1`,
      group: 'default',
      name: 'j',
      state: 'succeeded',
      attempt: 1,
      trigger: 'manual',
    },
    ...more,
  });
const idOf = (n: number | string) => record(n).id;

describe('the shipper', () => {
  test('sends the first output at once, and what follows within 100 ms in one piece', async () => {
    const ledger = start();
    let shipped = seen('ledger.acked');
    ledger.output(idOf(1), 0, Buffer.from('first'), 0);
    await shipped;
    shipped = seen('ledger.acked');
    for (let i = 0; i < 5; i++) ledger.output(idOf(1), 5 + i, Buffer.from(`${i}`), 0);
    assert.equal(history.text(idOf(1)), 'first');
    await clock.advance(100);
    await shipped;
    assert.deepEqual(
      history.pieces(idOf(1)).map(({ data }) => Buffer.from(data).toString()),
      ['first', '01234'],
    );
  });

  test("does not let output wait behind its run's end", async () => {
    const ledger = start();
    const shipped = seen('ledger.acked');
    ledger.output(idOf(1), 0, Buffer.from('a'), 0);
    await shipped;
    ledger.output(idOf(1), 1, Buffer.from('b'), 0);
    await ledger.record([record(1)]);
    assert.equal(await ledger.acked(idOf(1), Number.POSITIVE_INFINITY), true);
    assert.equal(history.text(idOf(1)), 'ab');
  });

  test('behind a backlog gives a start only where no end of it goes along, and every end', async () => {
    history.away = new Error('away');
    const ledger = start();
    const away = seen('ledger.away');
    await ledger.record([record(0)]);
    await away;
    await ledger.record([record(1, { state: 'running' }), record(2, { state: 'running' })]);
    await ledger.record([record(1), record(1, { state: 'lost' }), record(3)]);
    history.away = null;
    await clock.advance(30_000);
    assert.equal(await ledger.acked(idOf(3), Number.POSITIVE_INFINITY), true);
    assert.deepEqual(history.saved, [0, 2, 1, 1, 3].map(idOf));
    assert.deepEqual(
      [1, 2, 3].map((n) => history.runs.get(idOf(n))?.state),
      ['succeeded', 'running', 'succeeded'],
    );
  });

  test('says since when nothing is left for History to take', async () => {
    const ledger = start();
    const first = clock.now();
    assert.equal(ledger.emptyAt(), first);
    history.away = new Error('away');
    const away = seen('ledger.away');
    await ledger.record([record(1)]);
    await away;
    await clock.advance(10_000);
    assert.equal(ledger.emptyAt(), first);
    history.away = null;
    const took = seen('ledger.acked');
    await clock.advance(30_000);
    await took;
    await ledger.acked(idOf(1), Number.POSITIVE_INFINITY);
    assert.ok((ledger.emptyAt() ?? 0) > first + 10_000);
  });

  test('says whether History has a terminal record, and waits no longer than asked', async () => {
    history.away = new Error('away');
    const ledger = start();
    const away = seen('ledger.away');
    await ledger.record([record(1)]);
    const answer = ledger.acked(idOf(1), 250);
    await away;
    assert.equal(await clock.until(answer), false);
    history.away = null;
    await clock.advance(30_000);
    assert.equal(await ledger.acked(idOf(1), Number.POSITIVE_INFINITY), true);
    assert.equal(await ledger.acked(idOf(1), 0), true, 'and remembers it');
    await ledger.record([record(2, { state: 'running' })]);
    assert.equal(await clock.until(ledger.acked(idOf(2), 100)), false, 'an open record does not count');
  });

  test('tells once that History is away and once that it is back, and keeps everything', async () => {
    history.away = new Error('connection refused');
    const told: Event['type'][] = [];
    bus.on(({ type }) => told.push(type));
    const ledger = start();
    const away = seen('ledger.away');
    for (let n = 0; n < 5; n++) await ledger.record([record(n)]);
    assert.equal((await away).error, history.away);
    const back = seen('ledger.back');
    await clock.advance(60_000);
    history.away = null;
    await clock.advance(30_000);
    await back;
    assert.equal(told.filter((type) => type === 'ledger.away').length, 1);
    await clock.advance(30_000);
    assert.equal(await ledger.acked(idOf(4), Number.POSITIVE_INFINITY), true);
    assert.deepEqual(history.saved, [0, 1, 2, 3, 4].map(idOf));
  });

  test('says how much waits, and for how long History has taken none of it', async () => {
    const ledger = start();
    await clock.advance(3_600_000);
    assert.deepEqual(
      [ledger.figures().records, ledger.figures().lagMs],
      [0, 0],
      'what is not there waits for nobody',
    );
    history.away = new Error('away');
    const away = seen('ledger.away');
    await ledger.record([record(1), record(2)]);
    await away;
    await clock.advance(20_000);
    const { records, lagMs, bytes, limitBytes } = ledger.figures();
    assert.deepEqual([records, lagMs, limitBytes], [2, 20_000, 256 * 1024 * 1024]);
    assert.ok(bytes > 0 && bytes < 10_000, `${bytes}`);
    const back = seen('ledger.back');
    history.away = null;
    await clock.advance(30_000);
    await back;
    assert.equal(await ledger.acked(idOf(2), Number.POSITIVE_INFINITY), true);
    assert.deepEqual([ledger.figures().records, ledger.figures().lagMs], [0, 0]);
  });

  test('sends a batch again when History takes it and never answers', async () => {
    const save = history.saveRuns.bind(history);
    const called = Promise.withResolvers<void>();
    history.saveRuns = async (runs) => {
      history.saveRuns = save;
      await save(runs);
      called.resolve();
      await new Promise(() => {});
    };
    const ledger = start();
    await ledger.record([record(1)]);
    await called.promise;
    await clock.advance(30_000);
    assert.equal(await ledger.acked(idOf(1), Number.POSITIVE_INFINITY), true);
    assert.deepEqual(history.saved, [idOf(1), idOf(1)]);
    assert.equal(history.runs.size, 1);
  });

  test('sends records before output behind a backlog', async () => {
    const order: string[] = [];
    for (const kind of ['saveRuns', 'saveLogs'] as const) {
      const save = history[kind].bind(history) as (items: readonly unknown[]) => Promise<void>;
      history[kind] = async (items: readonly unknown[]) => {
        await save(items);
        order.push(kind);
      };
    }
    history.away = new Error('away');
    const ledger = start();
    const away = seen('ledger.away');
    for (let n = 0; n < 100; n++) {
      ledger.output(idOf(n), 0, Buffer.from('line\n'), 0);
      await ledger.record([record(n)]);
    }
    await away;
    history.away = null;
    await clock.advance(30_000);
    assert.equal(await ledger.acked(idOf(99), Number.POSITIVE_INFINITY), true);
    assert.equal(order[0], 'saveRuns');
    stop.abort();
    await running;
    for (let n = 0; n < 100; n++) assert.equal(history.text(idOf(n)), 'line\n');
  });

  test('sets aside what History will never take, says so, and goes on with the rest', async () => {
    const take = history.saveRuns.bind(history);
    history.saveRuns = async (runs) => {
      if (runs.some(({ id }) => id === idOf(2))) throw new HistoryError('unfit', 'no such document');
      await take(runs);
    };
    const write = history.saveLogs.bind(history);
    history.saveLogs = async (chunks) => {
      if (chunks.some(({ run }) => run === idOf(3))) throw new HistoryError('unfit', 'no such piece');
      await write(chunks);
    };
    const refused: EventOf<'spool.refused'>[] = [];
    bus.on((event) => void (event.type === 'spool.refused' && refused.push(event)));
    const ledger = start();
    ledger.output(idOf(3), 0, Buffer.from('lost'), 0);
    await ledger.record([record(1), record(2), record(3)]);
    for (const n of [1, 2, 3]) assert.equal(await ledger.acked(idOf(n), Number.POSITIVE_INFINITY), true);
    stop.abort();
    await running;
    assert.deepEqual([...history.runs.keys()], [idOf(1), idOf(3)]);
    assert.deepEqual(refused.map(({ what, run, problem }) => [what, run, problem]).sort(), [
      ['output', idOf(3), 'no such piece'],
      ['record', idOf(2), 'no such document'],
    ]);
    const lines = readFileSync(join(dir, 'refused.jsonl'), 'utf8').trim().split('\n');
    const kept = lines.map((line) => JSON.parse(line)).sort((a, b) => (a.what < b.what ? -1 : 1));
    assert.equal(Buffer.from(kept[0].item.data, 'base64').toString(), 'lost');
    assert.deepEqual(kept[1].item, record(2));
  });

  test('sets nothing aside that History refuses for now', async () => {
    history.away = new HistoryError('refused', 'its disk is full');
    const ledger = start();
    const away = seen('ledger.away');
    await ledger.record([record(1)]);
    await away;
    history.away = null;
    await clock.advance(30_000);
    assert.equal(await ledger.acked(idOf(1), Number.POSITIVE_INFINITY), true);
    assert.equal(existsSync(join(dir, 'refused.jsonl')), false);
  });

  test('brings the alerts of a record behind it, and both again after a restart', async () => {
    history.away = new Error('away');
    const told = newAlert({
      id: 'x',
      kind: 'failed',
      about: 'default/j',
      at: 0,
      title: 'x',
      to: ['ops'],
      run: idOf(1),
    });
    const ledger = start();
    await ledger.record([record(1), record(2)], [told]);
    stop.abort();
    await running;
    history.away = null;
    stop = new AbortController();
    const order: string[] = [];
    for (const kind of ['saveRuns', 'addAlerts'] as const) {
      const give = history[kind].bind(history) as (items: readonly unknown[]) => Promise<void>;
      history[kind] = async (items: readonly unknown[]) => {
        order.push(kind);
        await give(items);
      };
    }
    assert.equal(await start().acked(idOf(2), Number.POSITIVE_INFINITY), true);
    assert.deepEqual(order, ['saveRuns', 'addAlerts']);
    assert.deepEqual([...history.alerts.values()], [told]);
    assert.deepEqual(history.runs.get(idOf(1)), record(1));
  });

  test('settles at stop with everything handed over at History', async () => {
    const ledger = start();
    ledger.output(idOf(1), 0, Buffer.from('x'), 0);
    ledger.output(idOf(1), 1, Buffer.from('y'), 0);
    const recorded = ledger.record([record(1), record(2)]);
    stop.abort();
    await Promise.all([recorded, running]);
    assert.deepEqual(history.saved, [idOf(1), idOf(2)]);
    assert.equal(history.text(idOf(1)), 'xy');
  });
});

describe('the breaker', () => {
  test('waits twice as long after each failure, jittered by half, up to 30 s, and begins anew after a success', () => {
    let chance = 0;
    const breaker = createBreaker({ clock, ids: { chance: () => chance }, events: bus });
    const error = new Error('away');
    assert.deepEqual(
      [1, 2, 3].map(() => breaker.failed(error)),
      [125, 250, 500],
    );
    chance = 0.999999;
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map(() => breaker.failed(error)),
      [2_000, 4_000, 8_000, 16_000, 30_000, 30_000],
    );
    breaker.succeeded();
    assert.equal(breaker.away(), false);
    assert.equal(breaker.failed(error), 250);
  });
});
