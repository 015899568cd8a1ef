import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { createLedger } from '#agent/shipper/create-ledger.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event } from '#core/ports/events.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { until } from '#test/until.ts';
import { MemoryHistory } from './memory-history.ts';

const skip = process.getuid?.() === 0 ? false : 'a file system of its own needs root';
const sizeMb = 8;
const pieceBytes = 64 * 1024;

it('a real disk that fills up costs output first, counted, and no record; then nothing is taken on until there is room', {
  skip,
}, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMb}m`, 'tmpfs', dir]);
  let running: Promise<void> | null = null;
  const stop = new AbortController();
  t.after(async () => {
    stop.abort();
    await running;
    execFileSync('umount', [dir]);
    rmSync(dir, { recursive: true });
  });
  const [history, bus, clock] = [new MemoryHistory(), eventBus(), new VirtualClock()];
  const told: Event['type'][] = [];
  bus.on(({ type }) => told.push(type));
  history.away = new Error('away');
  const ledger = createLedger({
    dir: join(dir, 'spool'),
    history,
    clock,
    ids: { chance: () => 0 },
    events: bus,
  });
  running = ledger.run(stop.signal);
  const record = (n: number, more: Partial<Run> = {}) =>
    blankRun({ id: `default~j~${n}~1`, group: 'default', name: 'j', state: 'succeeded', ...more });

  // Twice as much output as the disk holds, a record behind every other piece.
  const runs = (sizeMb * 2 * 1024 * 1024) / pieceBytes;
  for (let n = 0; n < runs; n++) {
    ledger.output(record(n).id, 0, Buffer.alloc(pieceBytes, n), 0);
    await ledger.record([record(n, { bytes: pieceBytes })]);
  }
  assert.ok(told.includes('disk.full') && told.includes('spool.full'));

  // Records alone, until the reserve is used up too: from when it is begun on, nothing more is to be taken on.
  let kept = runs;
  let claimedOn = 0;
  const big = { command: 'x'.repeat(30_000) };
  for (; ; kept++) {
    const hadRoom = ledger.hasRoom();
    try {
      await ledger.record([record(kept, big)]);
      if (!hadRoom) claimedOn += 1;
    } catch (error) {
      assert.ok(error instanceof Refusal && error.code === 'disk_full', `${error}`);
      assert.equal(hadRoom, false, 'it was said before a record was refused');
      break;
    }
  }
  // Those that live when it is said have room for their ends.
  assert.ok(claimedOn > 50, `${claimedOn} records`);
  assert.equal(ledger.hasRoom(), false);
  assert.ok(statfsSync(dir).bavail * statfsSync(dir).bsize < 100_000);

  history.away = null;
  await clock.advance(30_000);
  assert.equal(await ledger.acked(record(kept - 1).id, Number.POSITIVE_INFINITY), true);
  // What it held is forgotten, and the reserve is had back.
  await until('what History has taken to leave a full disk', async () => {
    await clock.advance(1_000);
    return ledger.hasRoom();
  });
  stop.abort();
  await running;
  assert.equal(history.runs.size, kept);
  let dropped = 0;
  for (let n = 0; n < runs; n++) {
    const has = history.pieces(record(n).id).reduce((sum, { data }) => sum + data.length, 0);
    const { bytes, droppedBytes } = history.runs.get(record(n).id) ?? assert.fail();
    assert.equal(has + droppedBytes, bytes, `run ${n}`);
    dropped += droppedBytes;
  }
  assert.ok(dropped > 0);
});
