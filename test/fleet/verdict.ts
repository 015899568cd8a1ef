import { parseRunId, type RunId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import type { Pace } from './pace.ts';

/** What a job itself wrote about one start of its command; ms of the host's wall clock. */
export interface Stamp {
  run: RunId;
  fence: string;
  start: number;
  /** null: it never came to its last line. */
  end: number | null;
}

export interface Evidence {
  jobs: readonly Job[];
  stamps: readonly Stamp[];
  /** All that History holds, and what is owed to it. */
  records: readonly Run[];
  /** Of each `group/name`, the instants that had to be decided. */
  due: ReadonlyMap<string, readonly number[]>;
  /** In which nothing interfered, and the fleet had had its time to heal. */
  quiet: { from: number; to: number };
  /** How late the machine itself was then. */
  machine: readonly Pace[];
}

export interface Verdict {
  due: number;
  started: number;
  duplicates: number;
  unaccounted: number;
  /** Of starts by schedule, ms: anywhere, and in the quiet. */
  worstLateMs: number;
  worstQuietLateMs: number;
  /** Each with the promise it breaks. */
  breaches: string[];
}

/** How late a start may be in the quiet (P3), beside what the machine itself was late then, ms. */
const steadyMs = 2_000;
/** So long before its instant a start is being prepared, ms: armed, then claimed. */
const preparedMs = 1_000;
/** What a stamp's own shell and `date` take before they have written, and the kernel's coarse clock. */
const stampMs = 50;

/** Holds what the jobs wrote against what the ledger says. */
export function judge(evidence: Evidence): Verdict {
  const { stamps, records, due, jobs } = evidence;
  const byRun = new Map<RunId, Stamp[]>();
  for (const stamp of stamps) byRun.set(stamp.run, [...(byRun.get(stamp.run) ?? []), stamp]);
  const record = new Map(records.map((run) => [run.id, run]));
  const breaches: string[] = [];

  let duplicates = 0;
  for (const [run, starts] of byRun) {
    duplicates += starts.length - 1;
    if (starts.length > 1) breaches.push(`P1 ${run} started ${starts.length} times`);
    const said = record.get(run);
    if (said === undefined || !isTerminal(said.state))
      breaches.push(`P2 ${run} started, and its record says ${said?.state ?? 'nothing'}`);
    else if (said.startedAt === null && said.state !== 'lost')
      breaches.push(`P2 ${run} started, and its record (${said.state}: ${said.reason}) has no start`);
  }

  breaches.push(...attempts(byRun, record), ...overlaps(jobs, stamps, record));

  let unaccounted = 0;
  for (const [job, instants] of due) {
    const of = records.filter(
      (run) => `${run.group}/${run.name}` === job && run.instant !== null && isTerminal(run.state),
    );
    for (const instant of instants) {
      const covered = of.some(
        (run) => run.instant !== null && run.instant <= instant && instant <= (run.until ?? run.instant),
      );
      if (covered) continue;
      unaccounted += 1;
      breaches.push(`P2 ${job} ${new Date(instant).toISOString()} has no record`);
    }
  }

  const { worstLateMs, worstQuietLateMs, late } = lateness(evidence);
  breaches.push(...late);
  return {
    due: [...due.values()].reduce((sum, instants) => sum + instants.length, 0),
    started: byRun.size,
    ...{ duplicates, unaccounted, worstLateMs, worstQuietLateMs, breaches },
  };
}

/** Attempt k+1 starts after attempt k has ended, or was closed as lost, and with a greater fence. */
function attempts(byRun: ReadonlyMap<RunId, Stamp[]>, record: ReadonlyMap<RunId, Run>): string[] {
  const found: string[] = [];
  for (const [run, [stamp]] of byRun) {
    const parts = parseRunId(run);
    if (parts.attempt === 1 || stamp === undefined) continue;
    const rest = parts.worker === null ? '' : `~${parts.worker}`;
    const earlier = `${parts.group}~${parts.name}~${parts.cause}~${parts.attempt - 1}${rest}`;
    const before = byRun.get(earlier)?.[0];
    if (before === undefined) continue;
    if (BigInt(before.fence) >= BigInt(stamp.fence))
      found.push(`P7 ${run} has no greater fence than ${earlier}`);
    if (endOf(before, record) > stamp.start + stampMs)
      found.push(`P1 ${run} started before ${earlier} had ended`);
  }
  return found;
}

/** When a start's process was gone: by its own last line, or by the record of whoever killed it; what was closed as lost may live on. */
function endOf(stamp: Stamp, record: ReadonlyMap<RunId, Run>): number {
  const said = record.get(stamp.run);
  if (said?.state === 'lost') return Number.NEGATIVE_INFINITY;
  return stamp.end ?? said?.endedAt ?? Number.POSITIVE_INFINITY;
}

function overlaps(jobs: readonly Job[], stamps: readonly Stamp[], record: ReadonlyMap<RunId, Run>): string[] {
  const alone = new Set(
    jobs.filter(({ overlap }) => overlap !== 'allow').map(({ group, name }) => `${group}/${name}`),
  );
  const lanes = new Map<string, Stamp[]>();
  for (const stamp of stamps) {
    const { group, name, worker } = parseRunId(stamp.run);
    if (!alone.has(`${group}/${name}`)) continue;
    const lane = `${group}/${name}/${worker ?? '~'}`;
    lanes.set(lane, [...(lanes.get(lane) ?? []), stamp]);
  }
  const found: string[] = [];
  for (const lane of lanes.values()) {
    lane.sort((a, b) => a.start - b.start);
    for (const [at, stamp] of lane.entries())
      for (const earlier of lane.slice(0, at))
        if (endOf(earlier, record) > stamp.start + stampMs)
          found.push(`P6 ${stamp.run} started while ${earlier.run} was running`);
  }
  return found;
}

/** The worst that the machine itself was late while an instant was prepared, or was to start. */
function machineLateMs(machine: readonly Pace[], instant: number): number {
  const then = machine.filter(
    ({ at, lateMs }) => at <= instant + steadyMs && at + lateMs >= instant - preparedMs,
  );
  return Math.max(0, ...then.map(({ lateMs }) => lateMs));
}

function lateness({ stamps, records, due, quiet, machine, jobs }: Evidence) {
  const started = new Map(stamps.map(({ run, start }) => [run, start]));
  const late: string[] = [];
  let worstLateMs = 0;
  let worstQuietLateMs = 0;
  for (const run of records) {
    const at = started.get(run.id);
    if (run.instant === null || run.trigger !== 'schedule' || at === undefined) continue;
    const ms = at - run.instant;
    // One host, one clock: nothing may be early by it.
    if (ms < 0) late.push(`P4 ${run.id} started ${-ms} ms early`);
    worstLateMs = Math.max(worstLateMs, ms);
    if (run.instant >= quiet.from && run.instant < quiet.to)
      worstQuietLateMs = Math.max(worstQuietLateMs, ms);
  }
  // What may wait for the run before it has its own pace; of the others every instant is started, and in time.
  for (const { group, name, overlap, enabled } of jobs) {
    if (overlap !== 'allow' || !enabled) continue;
    for (const instant of due.get(`${group}/${name}`) ?? []) {
      if (instant < quiet.from || instant >= quiet.to) continue;
      const of = records.filter((run) => run.group === group && run.name === name && run.instant === instant);
      const starts = of.flatMap(({ id }) => started.get(id) ?? []);
      const first = Math.min(...starts);
      const machineMs = machineLateMs(machine, instant);
      if (!(first - instant <= steadyMs + machineMs))
        late.push(
          `P3 ${group}/${name} ${new Date(instant).toISOString()} ${starts.length === 0 ? `did not start (${of.map(({ state, reason }) => `${state} ${reason}`).join('; ') || 'no record'})` : `started ${first - instant} ms late`}, though all was quiet (the machine itself was ${machineMs} ms late)`,
        );
    }
  }
  return { worstLateMs, worstQuietLateMs, late };
}
