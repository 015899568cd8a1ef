import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { OutputTail } from '#agent/runner/output-tail.ts';
import { RunDir } from '#agent/runner/run-dir.ts';
import { until } from '#test/until.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { RunnerHost } from './runner-host.ts';

const root = mkdtempSync(join(tmpdir(), 'cronfleet-output-'));
after(() => rmSync(root, { recursive: true }));
let made = 0;

/** A run directory with an output to be written to, and the tail of it. */
function output(max: number) {
  const run = `run-${made++}`;
  const dir = new RunDir(root, run);
  mkdirSync(dir.path);
  const file = dir.file('output');
  writeFileSync(file, '');
  const ledger = new MemoryLedger();
  const open = () =>
    new OutputTail(dir, openSync(file, 'r'), max, (offset, data) => ledger.output(run, offset, data));
  return {
    open,
    file,
    write: (data: string | Uint8Array) => appendFileSync(file, data),
    text: () => ledger.text(run),
  };
}

describe('runner: output, piece by piece', () => {
  it('hands on everything once, whatever it is cut into', async () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 200 }));
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 0, max: 900 }), async (parts, max) => {
        const out = output(max);
        const tail = out.open();
        for (const part of parts) {
          out.write(part);
          tail.poll();
        }
        const { bytes, droppedBytes } = await tail.finish();
        const whole = Buffer.concat(parts);
        assert.deepEqual([bytes, droppedBytes], [whole.length, Math.max(0, whole.length - max)]);
        assert.equal(out.text(), kept(whole, max));
      }),
      { numRuns: 200 },
    );
  });

  it('keeps the bytes of a text that is not UTF-8, and cuts its summary between characters', async () => {
    const out = output(1_000_000);
    out.write(Buffer.from([0xff, 0x00, 0xc3]));
    out.write('é€😀'.repeat(2_000));
    const tail = out.open();
    const end = await tail.finish();
    assert.equal(end.bytes, 3 + 9 * 2_000);
    assert.ok(Buffer.byteLength(end.tail) <= 4_096 && Buffer.byteLength(end.tail) > 4_090);
    assert.ok(!end.tail.includes('\ufffd') && end.tail.endsWith('é€😀'));
  });

  it('reads no other file when it is closed in the middle of its last read', async () => {
    const out = output(10_000_000);
    const mine = 'mine '.repeat(500_000);
    out.write(mine);
    const tail = out.open();
    const finished = tail.finish();
    tail.close();
    // The lowest free descriptor is given away again at once.
    const other = output(0);
    other.write('somebody else '.repeat(500_000));
    const reused = openSync(other.file, 'r');
    await finished;
    closeSync(reused);
    assert.ok(mine.startsWith(out.text()));
  });

  it('goes on with the head after a restart, and gives the same sums', async () => {
    const out = output(100);
    out.write('a'.repeat(30));
    out.open().poll();
    out.write('b'.repeat(300));
    const end = await out.open().finish();
    assert.deepEqual([end.bytes, end.droppedBytes], [330, 230]);
    assert.equal(out.text(), `${'a'.repeat(30)}${'b'.repeat(20)}[230 left out]${'b'.repeat(50)}`);
  });

  it('goes on behind what it had when the command empties its own output, also after a restart', async () => {
    const out = output(1_000);
    const tail = out.open();
    out.write('before ');
    tail.poll();
    truncateSync(out.file);
    out.write('after');
    tail.poll();
    tail.close();
    const restarted = out.open();
    out.write(', end');
    restarted.poll();
    const end = await restarted.finish();
    assert.equal(out.text(), 'before after, end');
    assert.deepEqual([end.bytes, end.droppedBytes], [17, 0]);
  });

  it('notices an emptied output though it is longer than before by the next look', async () => {
    const out = output(1_000);
    const tail = out.open();
    out.write('before ');
    tail.poll();
    truncateSync(out.file);
    out.write('much longer after');
    assert.equal((await tail.finish()).bytes, 24);
    assert.equal(out.text(), 'before much longer after');
  });

  it('counts as left out what was emptied before anybody had read it', async () => {
    const out = output(10);
    const tail = out.open();
    out.write('0123456789');
    tail.poll();
    truncateSync(out.file);
    out.write('x');
    tail.poll();
    const end = await tail.finish();
    assert.deepEqual([end.bytes, end.bytes - end.droppedBytes], [11, 6]);
    assert.equal(out.text(), '01234[5 left out]x');
  });
});

/** Whether fallocate is here and this file system lets it. */
function punches(dir: string): boolean {
  const file = join(dir, 'hole');
  writeFileSync(file, Buffer.alloc(65_536));
  return spawnSync('fallocate', ['--punch-hole', '--offset', '0', '--length', '32768', file]).status === 0;
}

/** What of the whole can be read later. */
function kept(whole: Buffer, max: number): string {
  const dropped = whole.length - max;
  if (dropped <= 0) return whole.toString();
  const [head, tail] = [
    whole.subarray(0, Math.ceil(max / 2)),
    whole.subarray(whole.length - Math.floor(max / 2)),
  ];
  const gap = tail.length === 0 ? '' : `[${dropped} left out]`;
  return Buffer.concat([head, Buffer.from(gap), tail]).toString();
}

describe('runner: output of living runs', () => {
  let host: RunnerHost;
  before(async () => {
    host = await new RunnerHost().adopt();
  });
  after(() => host.close());

  it('tells of output while the command runs, and how much it was', async () => {
    const go = join(host.dir, 'go');
    const run = await host.begin('live', {
      command: `echo one; until [ -e ${go} ]; do sleep 0.02; done; echo two`,
    });
    await host.ledger.says(run, 'one\n');
    assert.equal(host.ends.has(run), false);
    writeFileSync(go, '');
    assert.equal((await host.ended(run)).bytes, 8);
    assert.equal(host.ledger.text(run), 'one\ntwo\n');
    assert.ok(
      host.events.some((event) => event.type === 'run.output' && event.run === run && event.bytes === 4),
    );
  });

  it('keeps head and tail of a long one, and counts what lies between', async () => {
    const end = await host.run('long', { command: 'seq 1 100000', output: { max: 20 } });
    assert.equal(end.text, '1\n2\n3\n4\n5\n[588875 left out]99\n100000\n');
    assert.deepEqual([end.bytes, end.droppedBytes], [588_895, 588_875]);
    assert.ok(end.tail.endsWith('\n99999\n100000\n') && end.tail.length === 4_096);
  });

  it('survives what pipes survive: a command that opens /dev/stderr for writing', async () => {
    const go = join(host.dir, 'go-on');
    const run = await host.begin('reopens', {
      command: `echo one; until [ -e ${go} ]; do sleep 0.02; done; echo two > /dev/stderr; echo three`,
    });
    await host.ledger.says(run, 'one\n');
    writeFileSync(go, '');
    const end = await host.ended(run);
    assert.equal(host.ledger.text(run), 'one\ntwo\nthree\n');
    assert.equal(end.bytes, 14);
  });

  it('gives the room of the middle back to the disk while a command writes on and on', async () => {
    const go = join(host.dir, 'go-big');
    const mib = 64;
    const limit = 24 * 1_048_576;
    const run = await host.begin('big', {
      command: `head -c ${mib}M /dev/zero; until [ -e ${go} ]; do sleep 0.02; done; echo end`,
      output: { max: 2_097_152 },
    });
    const file = join(host.dir, 'runs', run, 'output');
    const room = () => statSync(file).blocks * 512;
    await host.until('all of it', () => statSync(file).size === mib * 1_048_576);
    if (punches(host.dir)) await until('the room to be given back', room, (bytes) => bytes <= limit);
    writeFileSync(go, '');
    const end = await host.ended(run);
    assert.deepEqual([end.bytes, end.droppedBytes], [mib * 1_048_576 + 4, (mib - 2) * 1_048_576 + 4]);
    assert.ok(end.tail.endsWith('end\n'));
  });
});
