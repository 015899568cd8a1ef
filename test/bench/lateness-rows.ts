import { setTimeout as sleep } from 'node:timers/promises';
import { instantText, type RunId, runId } from '#core/model/ids.ts';
import type { JobInput } from '#core/model/job.ts';
import { type BenchRow, percentile } from './bench.ts';
import { cLoop } from './burst-yardsticks.ts';
import { makeStamper, type Stamp } from './stamp.ts';

const jobs = 100;
const everyMs = 5_000;
const instants = 12;
/** After the last instant: on a busy machine its jobs may begin late, which is not never. */
const restMs = 1_000;
const longestRestMs = 30_000;
/** A bare C loop that starts as many shells of the same program at once: what the machine can do. */
const loopRounds = 5;

interface Wanted {
  run: RunId;
  instant: number;
}

/** How late the jobs begin, from the first instant that all of them are there for: nothing is left out. `wanted` are their runs. */
export async function latenessRows(asked: {
  /** For programs and stamps. */
  dir: string;
  /** What p99 is not to go beyond. */
  mostMs: number;
  setJobs(jobs: JobInput[]): Promise<unknown>;
}): Promise<{ title: string; rows: BenchRow[]; wanted: RunId[] }> {
  const { dir, mostMs, setJobs } = asked;
  const stamper = makeStamper(dir);
  const names = Array.from({ length: jobs }, (_, n) => `job-${n}`);
  await setJobs(names.map((name) => ({ name, schedule: `*/${everyMs / 1_000} * * * * *`, ...stamper.job })));
  // Saved less than a second before, an instant could not be armed for in time.
  const first = Math.ceil((Date.now() + 1_000) / everyMs) * everyMs;
  const last = first + (instants - 1) * everyMs;
  await sleep(last + restMs - Date.now());
  const due = jobs * instants;
  while (stamper.read().length < due && Date.now() < last + longestRestMs) await sleep(restMs);
  const stamps = stamper.read();
  const wanted = names.flatMap((name) =>
    Array.from({ length: instants }, (_, n): Wanted => {
      const instant = first + n * everyMs;
      const cause = instantText(instant);
      return { run: runId({ group: 'default', name, cause, attempt: 1, worker: null }), instant };
    }),
  );
  const loop = Array.from({ length: loopRounds }, (_, n) => {
    const run = `loop-${n}`;
    const ran = cLoop(dir, jobs, stamper.line(run));
    if ('missing' in ran) return [];
    return stamper.read().flatMap((stamp) => (stamp.run === run ? [stamp.atMs - ran.began] : []));
  });
  return {
    title: `${jobs} jobs every ${everyMs / 1_000} s: from the instant to the job's own stamp (${stamper.how}), ${wanted.length.toLocaleString('en')} instants, the first included`,
    rows: rowsOf(wanted, stamps, loop.flat(), mostMs),
    wanted: wanted.map(({ run }) => run),
  };
}

function rowsOf(
  wanted: readonly Wanted[],
  stamps: readonly Stamp[],
  loop: readonly number[],
  mostMs: number,
): BenchRow[] {
  const begun = Map.groupBy(stamps, ({ run }) => run);
  const found = wanted.map(({ run, instant }) => ({ instant, at: begun.get(run) ?? [] }));
  const late = found.flatMap(({ instant, at }) => at.map(({ atMs }) => atMs - instant));
  const ms = (share: number, of: readonly number[] = late) => `${percentile(of, share).toFixed(1)} ms`;
  const beside = (share: number) =>
    loop.length === 0 ? 'no C compiler' : `a bare C loop: ${ms(share, loop)}`;
  const count = (which: (starts: number) => boolean) =>
    String(found.filter(({ at }) => which(at.length)).length);
  return [
    { name: 'lateness, p50', value: ms(0.5), yardstick: beside(0.5) },
    { name: 'lateness, p99', value: ms(0.99), yardstick: `at most ${mostMs} ms; ${beside(0.99)}` },
    { name: 'lateness, max', value: ms(1), yardstick: beside(1) },
    { name: 'earliest', value: ms(0), yardstick: 'never early' },
    { name: 'instants that started twice', value: count((starts) => starts > 1), yardstick: '0' },
    { name: 'instants that never started', value: count((starts) => starts === 0), yardstick: '0' },
  ];
}
