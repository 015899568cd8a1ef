import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { instantText, runId } from '#core/model/ids.ts';
import { type BenchTable, percentile } from './bench.ts';
import { cLoop } from './burst-yardsticks.ts';
import { startMachine } from './machine.ts';
import { makeStamper, type Stamp } from './stamp.ts';

const jobs = 100;
const everyMs = 5_000;
const instants = 12;
/** After the last instant: on a busy machine its jobs may begin late, which is not never. */
const restMs = 1_000;
const longestRestMs = 30_000;
/** A bare C loop that starts as many shells of the same program at once: what the machine can do. */
const loopRounds = 5;

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
      const due = jobs * instants;
      while (stamper.read().length < due && Date.now() < last + longestRestMs) await sleep(restMs);
      const wanted = names.flatMap((name) =>
        Array.from({ length: instants }, (_, n) => ({ name, instant: first + n * everyMs })),
      );
      const loops = Array.from({ length: loopRounds }, (_, n) => {
        const run = `loop-${n}`;
        const ran = cLoop(dir, jobs, stamper.line(run));
        if ('missing' in ran) return [];
        return stamper.read().flatMap((stamp) => (stamp.run === run ? [stamp.atMs - ran.began] : []));
      });
      return tableOf(wanted, stamper.read(), stamper.how, loops.flat());
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
  loop: readonly number[],
): BenchTable {
  const begun = Map.groupBy(stamps, ({ run }) => run);
  const found = wanted.map(({ name, instant }) => ({
    instant,
    at:
      begun.get(runId({ group: 'default', name, cause: instantText(instant), attempt: 1, worker: null })) ??
      [],
  }));
  const late = found.flatMap(({ instant, at }) => at.map(({ atMs }) => atMs - instant));
  const ms = (share: number, of: readonly number[] = late) => `${percentile(of, share).toFixed(1)} ms`;
  const beside = (share: number) =>
    loop.length === 0 ? 'no C compiler' : `a bare C loop: ${ms(share, loop)}`;
  const count = (which: (starts: number) => boolean) =>
    String(found.filter(({ at }) => which(at.length)).length);
  return {
    title: `${jobs} jobs every ${everyMs / 1_000} s: from the instant to the job's own stamp (${how}), ${wanted.length.toLocaleString('en')} instants, the first included`,
    rows: [
      { name: 'lateness, p50', value: ms(0.5), yardstick: beside(0.5) },
      { name: 'lateness, p99', value: ms(0.99), yardstick: `at most 20 ms; ${beside(0.99)}` },
      { name: 'lateness, max', value: ms(1), yardstick: beside(1) },
      { name: 'earliest', value: ms(0), yardstick: 'never early' },
      { name: 'instants that started twice', value: count((starts) => starts > 1), yardstick: '0' },
      { name: 'instants that never started', value: count((starts) => starts === 0), yardstick: '0' },
    ],
  };
}
