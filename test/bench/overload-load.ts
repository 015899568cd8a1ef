import { setTimeout as sleep } from 'node:timers/promises';
import { parseInstantText, parseRunId } from '#core/model/ids.ts';
import type { JobInput } from '#core/model/job.ts';
import { cLoop } from './burst-yardsticks.ts';
import type { Program } from './program.ts';
import type { Stamper } from './stamp.ts';

/** Instants of a job that did not run, as its record says; UTC ms. */
export interface NotRun {
  name: string;
  state: 'missed' | 'skipped';
  from: number;
  to: number;
}

/** Who is offered runs. */
export interface Subject extends Pick<Program, 'cpu'> {
  name: string;
  setJobs(jobs: JobInput[]): Promise<unknown>;
  /** Records that begin at [from, to). */
  notRun(from: number, to: number): Promise<NotRun[]>;
}

/** What was started in a stretch of seconds in which so many were offered. */
export interface Load {
  rate: number;
  from: number;
  to: number;
  startedPerSecond: number;
  /** How late those were that started in it, ms. */
  late: number[];
  /** Processor time a run, ms, the agent's and the run's own. */
  cpuMs: number;
  /** A bare C loop that starts as many shells of the same program, right before and after, each second; null: no C compiler. */
  loop: number | null;
}

/** From the jobs' being saved to the first second that counts: by then what is not started in time has piled up. */
const settleMs = 3_000;
const seconds = 5;
const loopRuns = 300;
/** A second, at most. */
export const mostRuns = 500;
/** Until what was under way has ended and its instants are decided. */
const restMs = 2_000;
/** How long is waited for the records of what did not run, and how often is looked. */
const longestWaitMs = 60_000;
const lookMs = 2_000;
/** Before and after the load falls. */
const fullMs = 5_000;
const fallenMs = 10_000;
/** Later than this is late. */
export const lateMs = 1_000;

const everySecond = '* * * * * *';
const notNow = '0 0 1 1 *';

/** Offers so many runs a second, each of a job of its own, and looks what is started. */
export async function offer(subject: Subject, stamper: Stamper, dir: string, rate: number): Promise<Load> {
  const loops = [loopOnce(stamper, dir)];
  await subject.setJobs(jobsOf(stamper, rate));
  const from = Math.ceil((Date.now() + settleMs) / 1_000) * 1_000;
  const to = from + seconds * 1_000;
  await sleep(from - Date.now());
  const before = subject.cpu();
  await sleep(to - Date.now());
  const after = subject.cpu();
  await subject.setJobs(jobsOf(stamper, 0));
  await sleep(restMs);
  loops.push(loopOnce(stamper, dir));
  const stamps = runStamps(stamper).filter(({ at }) => at >= from && at < to);
  const measured = loops.filter((one) => one !== null);
  return {
    ...{ rate, from, to },
    startedPerSecond: stamps.length / seconds,
    late: stamps.map(({ at, instant }) => at - instant),
    cpuMs: (after.own + after.runs - before.own - before.runs) / stamps.length,
    loop: measured.length === 0 ? null : measured.reduce((sum, one) => sum + one, 0) / measured.length,
  };
}

/** Offers the most and then `low` a second: until when, from then on, something started late, ms. */
export async function fall(subject: Subject, stamper: Stamper, low: number): Promise<number> {
  await subject.setJobs(jobsOf(stamper, mostRuns));
  await sleep(fullMs);
  await subject.setJobs(jobsOf(stamper, low));
  const fell = Date.now();
  await sleep(fallenMs);
  await subject.setJobs(jobsOf(stamper, 0));
  const late = runStamps(stamper).filter(({ at, instant }) => at > fell && at - instant > lateMs);
  return Math.max(0, ...late.map(({ at }) => at - fell));
}

/** What became of the instants of a load: by the jobs' own stamps, and by the records of what did not run. */
export async function account(
  subject: Subject,
  stamper: Stamper,
  load: Load,
): Promise<Record<'twice' | 'missed' | 'unaccounted', number>> {
  const { rate, from, to } = load;
  const until = Date.now() + longestWaitMs;
  for (;;) {
    // A stretch that reaches into it may have begun before.
    const records = Map.groupBy(await subject.notRun(from - 60_000, to), ({ name }) => name);
    const stamps = Map.groupBy(runStamps(stamper), ({ name }) => name);
    const found = { twice: 0, missed: 0, unaccounted: 0 };
    for (const { name } of jobsOf(stamper, rate).slice(0, rate)) {
      const [mine, notRun] = [stamps.get(name) ?? [], records.get(name) ?? []];
      // What lay above its cursor when its schedule was changed is not due by the new one, and nobody decides it.
      const decided = [...mine.map(({ instant }) => instant), ...notRun.map((one) => one.to)].filter(
        (at) => at < to,
      );
      const last = Math.max(from - 1, ...decided);
      for (let instant = from; instant <= last; instant += 1_000) {
        const times = mine.filter((stamp) => stamp.instant === instant).length;
        const record = notRun.find((one) => one.from <= instant && one.to >= instant);
        if (times > 1) found.twice += 1;
        if (times === 0 && record?.state === 'missed') found.missed += 1;
        if (times === 0 && record === undefined) found.unaccounted += 1;
      }
    }
    if (found.unaccounted === 0 || Date.now() > until) return found;
    await sleep(lookMs);
  }
}

/** So many of them at work. The others stay, with nothing to do: of a job that is deleted nobody decides what it had still due. */
function jobsOf(stamper: Stamper, busy: number): JobInput[] {
  return Array.from({ length: mostRuns }, (_, n) => ({
    ...{ name: `job-${n}`, schedule: n < busy ? everySecond : notNow, overlap: 'allow' },
    ...stamper.job,
  }));
}

function runStamps(stamper: Stamper): { name: string; instant: number; at: number }[] {
  return stamper.read().flatMap(({ run, atMs }) => {
    // The C loop's own have none of it.
    if (!run.includes('~')) return [];
    const { name, cause } = parseRunId(run);
    return [{ name, instant: parseInstantText(cause) ?? Number.NaN, at: atMs }];
  });
}

/** Starts a second. */
function loopOnce(stamper: Stamper, dir: string): number | null {
  const run = `loop-${Date.now()}`;
  const ran = cLoop(dir, loopRuns, stamper.line(run));
  if ('missing' in ran) return null;
  const own = stamper.read().filter((stamp) => stamp.run === run);
  return (loopRuns * 1_000) / (Math.max(...own.map(({ atMs }) => atMs)) - ran.began);
}
