import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createLedger, type LedgerOptions } from '#agent/shipper/create-ledger.ts';
import { encodeFrame, scanFrames } from '#agent/spool/frame.ts';
import { diskIo } from '#agent/spool/log.ts';
import { createReserve } from '#agent/spool/reserve.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event } from '#core/ports/events.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { MemoryHistory } from './memory-history.ts';

let dir = '';
let history = new MemoryHistory();
let events: Event[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cronfleet-spool-'));
  history = new MemoryHistory();
  events = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

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

function open(more: Partial<LedgerOptions> = {}) {
  const bus = eventBus();
  bus.on((event) => events.push(event));
  return createLedger({
    ...{ dir, history, clock: systemClock(), ids: { chance: () => 0.5 }, events: bus },
    ...more,
  });
}
type Opened = ReturnType<typeof open>;

/** Ships everything and closes. */
async function drain(ledger: Opened): Promise<void> {
  const stop = new AbortController();
  stop.abort();
  await ledger.run(stop.signal);
}

/** Lets go of it with nothing shipped: what is then on disk is what a killed agent leaves. */
async function leave(ledger: Opened): Promise<void> {
  history.away = new Error('gone');
  await drain(ledger);
  history.away = null;
  events = [];
}
const files = (kind: string) =>
  readdirSync(dir)
    .filter((name) => name.startsWith(kind) && name.endsWith('.seg'))
    .sort();
const full = () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });

describe('the spool', () => {
  test('gives History after a restart what it had no chance to ship, in order', async () => {
    const first = open();
    await Promise.all([1, 2, 3].map((n) => first.record([record(n)])));
    first.output(idOf(4), 0, Buffer.from('hello '), 0);
    first.output(idOf(4), 6, Buffer.from('world'), 0);
    await first.record([record(4)]);
    assert.equal(first.waiting(), 4);
    await leave(first);
    const second = open();
    assert.equal(second.waiting(), 4);
    await drain(second);
    assert.deepEqual(history.saved, [1, 2, 3, 4].map(idOf));
    assert.equal(history.text(idOf(4)), 'hello world');
    const third = open();
    assert.equal(third.waiting(), 0);
    await drain(third);
    assert.equal(history.saved.length, 4);
  });

  test('puts the records of one turn on disk with one fsync', async () => {
    let syncs = 0;
    const ledger = open({
      io: {
        ...diskIo,
        async sync(file) {
          syncs += 1;
          await diskIo.sync(file);
        },
      },
    });
    await ledger.record([record('first')]);
    syncs = 0;
    await Promise.all(
      Array.from({ length: 200 }, (_, n) => ledger.record([record(n, { state: 'running' })])),
    );
    assert.equal(syncs, 1);
    await drain(ledger);
  });

  test('cuts a torn tail off and keeps all before it', async () => {
    const first = open();
    await first.record([record(1)]);
    await first.record([record(2)]);
    await leave(first);
    const [file = ''] = files('records');
    const torn = encodeFrame({ sequence: 99, kind: 1, payload: Buffer.from('{"id":"never acknowledged"}') });
    appendFileSync(join(dir, file), torn.subarray(0, torn.length - 3));
    const second = open();
    await second.record([record(3)]);
    await drain(second);
    assert.deepEqual(history.saved, [1, 2, 3].map(idOf));
    assert.equal(
      events.some(({ type }) => type === 'spool.damaged'),
      false,
    );
  });

  test('sets a file damaged in the middle aside, says so, and ships what is sound before and behind', async () => {
    const first = open();
    for (const n of [1, 2, 3]) await first.record([record(n)]);
    await leave(first);
    const [file = ''] = files('records');
    const path = join(dir, file);
    const bytes = readFileSync(path);
    const at = bytes.indexOf('j~2~1');
    bytes[at] = 0;
    writeFileSync(path, bytes);
    await drain(open());
    assert.deepEqual(history.saved, [1, 3].map(idOf));
    assert.deepEqual(
      events
        .filter(({ type }) => type === 'spool.damaged')
        .map((event) => 'setAside' in event && event.setAside),
      [`${path}.damaged`],
    );
    assert.deepEqual(readFileSync(`${path}.damaged`), bytes);
    events = [];
    await drain(open());
    assert.equal(
      events.some(({ type }) => type === 'spool.damaged'),
      false,
      'mended once and for all',
    );
  });

  test('steps over what is damaged under its hands, says so, and ships what is behind', async () => {
    const ledger = open();
    for (const n of [1, 2, 3]) await ledger.record([record(n)]);
    const [name = ''] = files('records');
    const path = join(dir, name);
    const bytes = readFileSync(path);
    const at = bytes.indexOf(idOf(2));
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    writeFileSync(path, bytes);
    await ledger.record([record(4)]);
    await drain(ledger);
    assert.deepEqual(history.saved, [1, 3, 4].map(idOf));
    assert.equal(ledger.waiting(), 0);
    assert.deepEqual(
      events
        .filter(({ type }) => type === 'spool.damaged')
        .map((event) => 'setAside' in event && event.setAside),
      [`${path}.damaged`],
    );
    assert.ok(readFileSync(`${path}.damaged`).includes(idOf(3)));
  });

  test('leaves files alone that are none of its own', async () => {
    await leave(open());
    writeFileSync(join(dir, 'records-of-old.seg'), 'x');
    const ledger = open();
    await ledger.record([record(1)]);
    await drain(ledger);
    assert.deepEqual(history.saved, [idOf(1)]);
    assert.equal(readFileSync(join(dir, 'records-of-old.seg'), 'utf8'), 'x');
  });

  test('finds every whole frame whatever single byte is damaged', () => {
    const frames = [1, 2, 3].map((sequence) => ({
      sequence,
      kind: 1,
      payload: Buffer.from(`frame ${sequence}`),
    }));
    const whole = Buffer.concat(frames.map(encodeFrame));
    const each = whole.length / 3;
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0xff;
      const scan = scanFrames(damaged);
      const hit = Math.floor(at / each) + 1;
      assert.deepEqual(
        scan.frames.map(({ sequence }) => sequence),
        [1, 2, 3].filter((sequence) => sequence !== hit),
      );
      assert.equal(scan.holed, hit !== 3);
    }
  });

  test("goes on numbering a run's pieces after a restart, and takes bytes that come twice once", async () => {
    const first = open();
    first.output(idOf(1), 0, Buffer.from('abc'), 0);
    await first.record([record('other')]);
    await leave(first);
    const second = open();
    second.output(idOf(1), 0, Buffer.from('abcdef'), 0);
    second.output(idOf(1), 2, Buffer.from('cdefgh'), 0);
    second.output(idOf(1), 20, Buffer.from('tail'), 0);
    await drain(second);
    assert.deepEqual(
      history.pieces(idOf(1)).map(({ seq, offset, data }) => [seq, offset, Buffer.from(data).toString()]),
      [
        [0, 0, 'abc'],
        [1, 3, 'defgh'],
        [2, 20, 'tail'],
      ],
    );
    const third = open();
    third.output(idOf(1), 0, Buffer.from('abcdefgh'), 0);
    third.output(idOf(1), 20, Buffer.from('tail!'), 0);
    await drain(third);
    assert.deepEqual(
      history.pieces(idOf(1)).map(({ offset }) => offset),
      [0, 3, 20, 24],
    );
  });

  test('still knows how far a run had come when the file that held its output is gone', async () => {
    const maxBytes = 1024 * 1024;
    const first = open({ maxBytes });
    first.output(idOf(1), 0, Buffer.from('early'), 0);
    await first.record([record(1)]);
    await drain(first);
    let ledger = open({ maxBytes });
    for (let n = 0; n < 6; n++) {
      ledger.output(idOf(`big${n}`), 0, Buffer.alloc(100_000, 'x'), 0);
      await ledger.record([record(`big${n}`)]);
      await drain(ledger);
      ledger = open({ maxBytes });
    }
    assert.equal(files('output').length <= 2, true, 'what History has is deleted');
    ledger.output(idOf(1), 0, Buffer.from('early bird'), 0);
    await drain(ledger);
    assert.equal(history.text(idOf(1)), 'early bird');
  });

  test('cuts output into pieces of at most 64 KiB and loses none of a large one', async () => {
    const ledger = open();
    const data = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    ledger.output(idOf(1), 0, data, 0);
    await drain(ledger);
    const pieces = history.pieces(idOf(1));
    assert.deepEqual(Buffer.concat(pieces.map((piece) => piece.data)), data);
    assert.equal(Math.max(...pieces.map((piece) => piece.data.length)), 65_536);
  });

  test("drops output when it is full, counts it in the run's record, and never drops a record", async () => {
    history.away = new Error('away');
    const ledger = open({ maxBytes: 400_000 });
    for (let i = 0; i < 10; i++) ledger.output(idOf(1), i * 50_000, Buffer.alloc(50_000, `${i}`), 0);
    for (let n = 2; n < 40; n++) await ledger.record([record(n)]);
    await ledger.record([record(1, { bytes: 500_000 })]);
    history.away = null;
    await drain(ledger);
    const kept = history.pieces(idOf(1)).reduce((sum, { data }) => sum + data.length, 0);
    assert.equal(kept > 0 && kept <= 350_000, true);
    assert.equal(history.runs.get(idOf(1))?.droppedBytes, 500_000 - kept);
    assert.equal(history.runs.size, 39);
    assert.equal(events.filter(({ type }) => type === 'spool.full').length, 1);
  });

  test('says that it has no room before it refuses records, and has room again once History has them', async () => {
    history.away = new Error('away');
    const ledger = open({ maxBytes: 64_000 });
    let n = 0;
    while (ledger.hasRoom()) await ledger.record([record(n++)]);
    await ledger.record([record(n++)]);
    const filling = async () => {
      for (let i = 0; i < 200; i++) {
        await ledger.record([record(n)]);
        n += 1;
      }
    };
    await assert.rejects(
      filling,
      (error: unknown) => error instanceof Refusal && error.code === 'spool_full',
    );
    history.away = null;
    await drain(ledger);
    assert.equal(history.runs.size, n);
    const next = open({ maxBytes: 64_000 });
    assert.equal(next.hasRoom(), true);
    await drain(next);
  });

  test('refuses a record with disk_full, cuts off what the failed write left, and claims no room', async () => {
    let room = 4;
    const ledger = open({
      io: {
        ...diskIo,
        async write(file, data, at) {
          if (room-- > 0) return await diskIo.write(file, data, at);
          await diskIo.write(file, data.subarray(0, data.length - 5), at);
          throw full();
        },
      },
    });
    await ledger.record([record(1)]);
    room = 0;
    await assert.rejects(
      ledger.record([record(2), record(3)]),
      (error: unknown) => error instanceof Refusal && error.code === 'disk_full',
    );
    assert.equal(ledger.hasRoom(), false, 'the reserve was given up');
    assert.equal(readdirSync(dir).includes('reserve'), false);
    room = 100;
    await ledger.record([record(4)]);
    ledger.output(idOf(4), 0, Buffer.from('fine'), 0);
    await drain(ledger);
    assert.deepEqual(history.saved, [1, 4].map(idOf));
    assert.equal(
      events.some(({ type }) => type === 'disk.full'),
      true,
    );
  });

  test('writes the records of living runs into the room kept for them when the disk is full', async () => {
    const reserve = join(dir, 'reserve');
    const ledger = open({
      io: {
        ...diskIo,
        async write(file, data, at) {
          if (statSync(reserve, { throwIfNoEntry: false }) !== undefined) throw full();
          await diskIo.write(file, data, at);
        },
      },
    });
    assert.equal(ledger.hasRoom(), true);
    await ledger.record([record(1)]);
    assert.equal(ledger.hasRoom(), false);
    await drain(ledger);
    assert.deepEqual(history.saved, [idOf(1)]);
  });

  test('has its reserve back only where there is room for it twice, so that what is claimed then finds some', () => {
    const free = { bytes: 3 * 1024 * 1024 };
    const reserve = createReserve(dir, () => free.bytes);
    assert.equal(reserve.take(), false);
    assert.equal(existsSync(reserve.path), false);
    free.bytes = 4 * 1024 * 1024;
    assert.equal(reserve.take(), true);
    free.bytes = 0;
    assert.equal(createReserve(dir, () => free.bytes).take(), true, 'it was there already');
    reserve.giveUp();
    assert.equal(reserve.take(), false);
  });

  test('counts output that the disk refused in the record of its run', async () => {
    let fails = false;
    const ledger = open({
      io: {
        ...diskIo,
        async write(file, data, at) {
          if (fails && data.includes('lost bytes')) throw full();
          await diskIo.write(file, data, at);
        },
      },
    });
    ledger.output(idOf(1), 0, Buffer.from('kept '), 0);
    await ledger.record([record('x')]);
    fails = true;
    ledger.output(idOf(1), 5, Buffer.from('lost bytes'), 0);
    await ledger.record([record(1, { bytes: 15 })]);
    await drain(ledger);
    assert.equal(history.text(idOf(1)), 'kept ');
    assert.equal(history.runs.get(idOf(1))?.droppedBytes, 10);
  });

  test('keeps every acknowledged record, exactly once, through kill -9 at any moment', async () => {
    const acknowledged = new Set<number>();
    let from = 0;
    for (const lines of [1, 30, 200]) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'spool-child.ts'), dir, `${from}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const closed = new Promise((resolve) => child.on('close', resolve));
      let seen = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        acknowledged.add(Number(line));
        from = Math.max(from, Number(line) + 1_000);
        seen += 1;
        if (seen === lines) child.kill('SIGKILL');
      }
      await closed;
    }
    await drain(open());
    for (const n of acknowledged) {
      assert.equal(history.saved.filter((id) => id === idOf(n)).length, 1, `record ${n}`);
      assert.equal(history.text(idOf(n)), `${n}`.padEnd(9).concat('\n').repeat(3));
    }
    assert.equal(acknowledged.size >= 231, true);
  });
});
