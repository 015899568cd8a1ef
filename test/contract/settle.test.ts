import { memoryKv } from '#core/stores/kv/memory/memory-kv.ts';
import { sqliteKv } from '#core/stores/kv/sqlite/sqlite-kv.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';
import { settleSuite } from './settle-suite.ts';
import { tempFolder } from './temp-folder.ts';

function time(clock: VirtualClock) {
  return { ttlMs: 10_000, boot: () => clock.boot(), pass: (ms: number) => clock.advance(ms) };
}

settleSuite('in memory', () => {
  const clock = new VirtualClock();
  return { kv: memoryKv({ clock }), time: time(clock), clean() {} };
});
settleSuite('on SQLite', () => {
  const clock = new VirtualClock();
  const { file, clean } = tempFolder();
  return { kv: sqliteKv({ file, clock }), time: time(clock), clean };
});
