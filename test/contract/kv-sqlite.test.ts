import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { Refusal } from '#core/model/refusal.ts';
import { type Kv, prefixRange } from '#core/ports/kv.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { kvLayout } from '#core/stores/kv/sqlite/layout.ts';
import { sqliteKv, sqliteKvOn } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { openDatabase } from '#core/stores/sqlite/open-database.ts';
import { effort } from '#test/effort.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { fails, put, remove } from './kv-suite.ts';
import { tempFolder } from './temp-folder.ts';

const write = (kv: Kv, ...then: Parameters<typeof put>[]) =>
  kv.txn({ compare: [], then: then.map((each) => put(...each)) });
const keysOf = async (kv: Kv, prefix: string) =>
  (await kv.range(prefixRange(prefix))).entries.map(({ key }) => key);

function inFolder(
  what: string,
  test: (folder: ReturnType<typeof tempFolder>, clock: VirtualClock) => Promise<void>,
): void {
  it(what, async () => {
    const folder = tempFolder();
    try {
      await test(folder, new VirtualClock());
    } finally {
      folder.clean();
    }
  });
}

function refused(code: string, file: string) {
  return (error: unknown) => error instanceof Refusal && error.code === code && error.message.includes(file);
}

describe('Kv on SQLite, closed and opened again', () => {
  inFolder('is there as it was, and goes on from its revision', async ({ file }, clock) => {
    const first = sqliteKv({ file, clock });
    await write(first, ['a', '1'], ['b', '2']);
    await write(first, ['a', '3']);
    await first.txn({ compare: [], then: [remove('b')] });
    await write(first, ['c', '€']);
    const before = await first.range({ key: 'a', end: 'z' });
    await first.close();
    const second = sqliteKv({ file, clock });
    assert.deepEqual(await second.range({ key: 'a', end: 'z' }), before);
    assert.equal((await write(second, ['d'])).revision, '6');
    await assert.rejects(second.range({ key: 'a' }, { revision: '4' }), fails('compacted'));
    await second.close();
  });
  inFolder('lets a lease go on, and end', async ({ file }, clock) => {
    const first = sqliteKv({ file, clock });
    const lease = await first.grant(10_000);
    await write(first, ['k', 'v', lease], ['free']);
    await clock.advance(4_000);
    await first.close();
    const second = sqliteKv({ file, clock });
    assert.deepEqual(await keysOf(second, 'k'), ['k']);
    assert.equal(await second.renew(lease), 10_000);
    await clock.advance(9_000);
    assert.deepEqual(await keysOf(second, 'k'), ['k']);
    assert.notEqual(await second.grant(1_000), lease, 'an id is not given again');
    await clock.advance(1_000);
    assert.deepEqual(await keysOf(second, 'k'), []);
    assert.deepEqual(await keysOf(second, 'free'), ['free']);
    await second.close();
    assert.equal(clock.pending, 0);
  });
  inFolder('shows nobody a key whose lease ended while it was closed', async ({ file }, clock) => {
    const first = sqliteKv({ file, clock });
    const lease = await first.grant(10_000);
    await write(first, ['k', 'v', lease]);
    await first.close();
    await clock.advance(25_000);
    const second = sqliteKv({ file, clock });
    assert.deepEqual(await keysOf(second, 'k'), []);
    assert.equal(await second.renew(lease), 0);
    await second.close();
  });
  inFolder(
    'lets no lease last longer than its time for a wall clock that went back',
    async ({ file }, clock) => {
      const first = sqliteKv({ file, clock });
      await write(first, ['k', 'v', await first.grant(10_000)]);
      await first.close();
      clock.step(-3_600_000);
      const second = sqliteKv({ file, clock });
      await clock.advance(10_000);
      assert.deepEqual(await keysOf(second, 'k'), []);
      await second.close();
    },
  );
  inFolder('never ends a lease early that was renewed before a crash', async ({ file, dir }, clock) => {
    const first = sqliteKv({ file, clock });
    const lease = await first.grant(10_000);
    await write(first, ['k', 'v', lease]);
    for (let round = 0; round < 7; round++) {
      await clock.advance(3_000);
      await first.renew(lease);
    }
    const copy = copyAsAfterCrash(file, dir);
    await clock.advance(9_999);
    const second = sqliteKv({ file: copy, clock });
    assert.deepEqual(await keysOf(second, 'k'), ['k']);
    await clock.advance(10_000);
    assert.deepEqual(await keysOf(second, 'k'), []);
    await second.close();
    await first.close();
  });
});

/** What stands on disk at this moment, under another name. */
function copyAsAfterCrash(file: string, dir: string): string {
  const copy = join(dir, 'copy.db');
  for (const suffix of ['', '-wal'])
    if (existsSync(file + suffix)) writeFileSync(copy + suffix, readFileSync(file + suffix));
  return copy;
}

describe('Kv on SQLite, its file', () => {
  inFolder('can be read by its owner only, also where it could be before', async ({ dir }, clock) => {
    const file = join(dir, 'new', 'folder', 'store.db');
    const open = async () => {
      const kv = sqliteKv({ file, clock });
      await write(kv, ['a']);
      for (const path of [file, `${file}-wal`]) assert.equal(statSync(path).mode & 0o777, 0o600, path);
      await kv.close();
    };
    await open();
    assert.equal(statSync(join(dir, 'new', 'folder')).mode & 0o777, 0o700);
    const loose = join(dir, 'loose.db');
    writeFileSync(loose, '', { mode: 0o644 });
    await sqliteKv({ file: loose, clock }).close();
    assert.equal(statSync(loose).mode & 0o777, 0o600);
    await open();
  });
  inFolder(
    'is refused to a second opener, and free again when the first one closes',
    async ({ file }, clock) => {
      const first = sqliteKv({ file, clock });
      assert.throws(() => sqliteKv({ file, clock }), refused('store_in_use', file));
      await write(first, ['a']);
      await first.close();
      await sqliteKv({ file, clock }).close();
    },
  );
  inFolder('is refused by name when it is no database, or damaged', async ({ file, dir }, clock) => {
    const text = join(dir, 'text.db');
    writeFileSync(text, 'not a database, but long enough to have a header '.repeat(100));
    assert.throws(() => sqliteKv({ file: text, clock }), refused('store_corrupt', text));

    const kv = sqliteKv({ file, clock });
    for (let n = 0; n < 50; n++) await write(kv, [`k${n}`, 'x'.repeat(2_000)]);
    await kv.close();
    const cut = join(dir, 'cut.db');
    writeFileSync(cut, readFileSync(file));
    truncateSync(cut, Math.floor(statSync(cut).size / 2));
    assert.throws(() => sqliteKv({ file: cut, clock }), refused('store_corrupt', cut));
    const scratched = openSync(file, 'r+');
    writeSync(scratched, Buffer.alloc(4_096 * 8, 0xff), 0, 4_096 * 8, 4_096 * 2);
    closeSync(scratched);
    assert.throws(() => sqliteKv({ file, clock }), refused('store_corrupt', file));
    assert.throws(
      () => sqliteKv({ file, clock }),
      refused('store_corrupt', file),
      'and does not stay locked',
    );
  });
  inFolder(
    'is refused by name when it is of something else, or of a later cronfleet',
    async ({ file, dir }, clock) => {
      const other = join(dir, 'other.db');
      const db = new DatabaseSync(other);
      db.exec('CREATE TABLE theirs (x)');
      db.close();
      assert.throws(() => sqliteKv({ file: other, clock }), refused('store_foreign', other));
      await sqliteKv({ file, clock }).close();
      const later = new DatabaseSync(file);
      later.exec(`PRAGMA user_version = ${kvLayout.steps.length + 1}`);
      later.close();
      assert.throws(() => sqliteKv({ file, clock }), refused('store_newer', file));
    },
  );
  inFolder('is refused by name where it cannot stand', async ({ dir }, clock) => {
    writeFileSync(join(dir, 'file'), '');
    const file = join(dir, 'file', 'store.db');
    assert.throws(() => sqliteKv({ file, clock }), refused('store_unusable', file));
    assert.throws(() => sqliteKv({ file: dir, clock }), refused('store_unusable', dir));
  });
});

describe('Kv on SQLite, when the disk refuses', () => {
  /** A store with room for a few pages; `widen` makes room again. */
  const onSmallDisk = (file: string, clock: VirtualClock) => {
    const db = openDatabase(file, kvLayout, { exclusive: true });
    db.exec('PRAGMA max_page_count = 40');
    return { kv: sqliteKvOn(db, { file, clock }), widen: () => db.exec('PRAGMA max_page_count = 1000000') };
  };
  const big = 'x'.repeat(50_000);

  inFolder(
    'says so, is as it was before, tells no follower, and goes on when there is room',
    async ({ file }, clock) => {
      const { kv, widen } = onSmallDisk(file, clock);
      const lease = await kv.grant(60_000);
      await write(kv, ['a', 'before', lease], ['gone']);
      const before = await kv.range({ key: 'a', end: 'z' });
      const told: string[] = [];
      const stop = new AbortController();
      const following = kv.follow('a', stop.signal, ({ type, revision }) => told.push(`${type} ${revision}`));
      await clock.settle();

      const batch = await Promise.allSettled([
        write(kv, ['a', 'after']),
        kv.txn({ compare: [], then: [remove('gone')] }),
        kv.grant(1_000),
        kv.revoke(lease),
        ...[1, 2, 3, 4].map((n) => write(kv, [`a/${n}`, big])),
      ]);
      for (const each of batch) {
        assert.equal(each.status, 'rejected');
        assert.ok(each.status === 'rejected' && fails('unavailable')(each.reason));
        assert.match(
          String(each.status === 'rejected' && each.reason.message),
          /store\.db: cannot write: .*full/,
        );
      }
      assert.deepEqual(await kv.range({ key: 'a', end: 'z' }), before);
      assert.equal(await kv.renew(lease), 60_000, 'the lease that was to be revoked stands');
      await clock.settle();
      assert.deepEqual(told, ['list 2']);

      await write(kv, ['a', 'small']);
      widen();
      await Promise.all([1, 2, 3, 4].map((n) => write(kv, [`a/${n}`, big])));
      await clock.settle();
      assert.deepEqual(told, ['list 2', 'changes 3', 'changes 4', 'changes 5', 'changes 6', 'changes 7']);
      stop.abort();
      await following;
      const after = await kv.range({ key: 'a', end: 'z' });
      await kv.close();
      const again = sqliteKv({ file, clock });
      assert.deepEqual(await again.range({ key: 'a', end: 'z' }), after);
      await again.close();
    },
  );
  inFolder('keeps a living lease, and ends one that is over as soon as it can', async ({ file }, clock) => {
    const { kv } = onSmallDisk(file, clock);
    const [kept, over] = [await kv.grant(10_000), await kv.grant(15_000)];
    await write(kv, ['kept', 'v', kept], ['over', 'v', over]);
    await kv.close();

    const db = openDatabase(file, kvLayout, { exclusive: true });
    const again = sqliteKvOn(db, { file, clock });
    // Nothing can be written at all: stricter than a full disk, under which a small change may still fit.
    db.exec('PRAGMA query_only = ON');
    for (let round = 0; round < 6; round++) {
      await clock.advance(5_000);
      assert.equal(await again.renew(kept), 10_000);
    }
    assert.deepEqual(await keysOf(again, 'over'), ['over'], 'what disk still has is not gone');
    db.exec('PRAGMA query_only = OFF');
    await clock.advance(1_000);
    assert.deepEqual([await keysOf(again, 'over'), await keysOf(again, 'kept')], [[], ['kept']]);
    await again.close();
  });
  inFolder(
    'tells disk of a renewal later that it would not take at its time',
    async ({ file, dir }, clock) => {
      const db = openDatabase(file, kvLayout, { exclusive: true });
      const kv = sqliteKvOn(db, { file, clock });
      const lease = await kv.grant(10_000);
      await write(kv, ['k', 'v', lease]);
      db.exec('PRAGMA query_only = ON');
      for (let round = 0; round < 2; round++) {
        await clock.advance(9_000);
        await kv.renew(lease);
      }
      db.exec('PRAGMA query_only = OFF');
      await clock.advance(1_000);
      await kv.renew(lease);
      const copy = copyAsAfterCrash(file, dir);
      await clock.advance(9_999);
      const again = sqliteKv({ file: copy, clock });
      assert.deepEqual(await keysOf(again, 'k'), ['k']);
      await again.close();
      await kv.close();
    },
  );
});

describe('Kv on SQLite, killed while it writes', () => {
  it('has everything that was acknowledged, and nothing by halves', async () => {
    const folder = tempFolder();
    try {
      let acknowledged = -1;
      for (let round = 1; round <= effort(2, 8); round++) {
        const file = join(folder.dir, `${round}.db`);
        acknowledged = await writeUntilKilled(file, 150 * round);
        const kv = sqliteKv({ file, clock: systemClock() });
        const [a, b] = [await keysOf(kv, 'a/'), await keysOf(kv, 'b/')];
        assert.ok(a.length > acknowledged, `${a.length} there, ${acknowledged + 1} acknowledged`);
        assert.deepEqual(
          a,
          Array.from(a, (_, n) => `a/${String(n).padStart(9, '0')}`),
        );
        assert.deepEqual(
          b.map((key) => key.replace('b/', 'a/')),
          a,
        );
        assert.equal((await write(kv, ['c'])).revision, String(a.length + 2));
        await kv.close();
      }
    } finally {
      folder.clean();
    }
  });
});

/** Answers the greatest number that was acknowledged before the kill -9. */
async function writeUntilKilled(file: string, lines: number): Promise<number> {
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'kv-writer.ts'), file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(writer, 'exit');
  let last = -1;
  let count = 0;
  for await (const line of createInterface(writer.stdout)) {
    last = Math.max(last, Number(line));
    if (++count === lines) writer.kill('SIGKILL');
  }
  await exited;
  assert.ok(count >= lines, 'the writer ended by itself');
  return last;
}
