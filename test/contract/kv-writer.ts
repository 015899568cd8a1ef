import { systemClock } from '#core/ports/system-clock.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { put } from './kv-suite.ts';

// node kv-writer.ts FILE: writes until it is killed, each time two keys at once, several times within a turn, and prints the number
// of what was acknowledged. For the test that kills it.

const kv = sqliteKv({ file: process.argv[2] ?? '', clock: systemClock() });
for (let next = 0; ; next += 3) {
  const write = async (n: number) => {
    const name = String(n).padStart(9, '0');
    await kv.txn({ compare: [], then: [put(`a/${name}`), put(`b/${name}`, 'x'.repeat(n % 5_000))] });
    // No faster than it is read: to write to its file itself fails where the pipe is full.
    await new Promise((resolve) => process.stdout.write(`${n}\n`, resolve));
  };
  await Promise.all([write(next), write(next + 1), write(next + 2)]);
}
