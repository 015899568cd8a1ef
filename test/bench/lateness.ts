import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { instantText, runId } from '#core/model/ids.ts';
import { type BenchTable, percentile } from './bench.ts';
import { startMachine } from './machine.ts';
import { makeStamper, type Stamp } from './stamp.ts';

const jobs = 100;
const everyMs = 5_000;
const instants = 12;
/** After the last instant, until the last of its jobs must have begun. */
const restMs = 2_000;

/** A hundred jobs every five seconds on one machine, from the first instant that all of them are there for: nothing is left out. */
export async function bench(): Promise<BenchTable> {
  const dir = mkdtempSync(join(tmpdir(), 'lateness-'));
  try {
    const stamper = makeStamper(dir);
    const machine = await startMachine(dir);
    try {
      const names = Array.from({ length: jobs }, (_, n) => `job-${n}`);
      await machine.ask('POST', '/apply', {
        jobs: names.map((name) => ({ name, schedule: `*/${everyMs / 1_000} * * * * *`, ...stamper.job })),
      });
      // Saved less than a second before, an instant could not be armed for in time.
      const first = Math.ceil((Date.now() + 1_000) / everyMs) * everyMs;
      const last = first + (instants - 1) * everyMs;
      await sleep(last + restMs - Date.now());
      const wanted = names.flatMap((name) =>
        Array.from({ length: instants }, (_, n) => ({ name, instant: first + n * everyMs })),
      );
      return tableOf(wanted, stamper.read(), stamper.how);
    } finally {
      await machine.stop();
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function tableOf(
  wanted: { name: string; instant: number }[],
  stamps: readonly Stamp[],
  how: string,
): BenchTable {
  const begun = Map.groupBy(stamps, ({ run }) => run);
  const found = wanted.map(({ name, instant }) => ({
    instant,
    at:
      begun.get(runId({ group: 'default', name, cause: instantText(instant), attempt: 1, worker: null })) ??
      [],
  }));
  const late = found.flatMap(({ instant, at }) => at.map(({ atMs }) => atMs - instant));
  const ms = (share: number) => `${percentile(late, share).toFixed(1)} ms`;
  const count = (which: (starts: number) => boolean) =>
    String(found.filter(({ at }) => which(at.length)).length);
  return {
    title: `${jobs} jobs every ${everyMs / 1_000} s: from the instant to the job's own stamp (${how}), ${wanted.length.toLocaleString('en')} instants, the first included`,
    rows: [
      { name: 'lateness, p50', value: ms(0.5) },
      { name: 'lateness, p99', value: ms(0.99), yardstick: 'at most 20 ms' },
      { name: 'lateness, max', value: ms(1) },
      { name: 'earliest', value: ms(0), yardstick: 'never early' },
      { name: 'instants that started twice', value: count((starts) => starts > 1), yardstick: '0' },
      { name: 'instants that never started', value: count((starts) => starts === 0), yardstick: '0' },
    ],
  };
}
