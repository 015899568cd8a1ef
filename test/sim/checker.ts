import { scheduleOf } from '#core/cluster/check-job.ts';
import type { Layout } from '#core/cluster/keys.ts';
import { oneLane, splitKey } from '#core/cluster/keys.ts';
import { CursorValue, decode, JobValue, OrderValue, OwedValue, RunningValue } from '#core/cluster/records.ts';
import { fits, maxSkewMs } from '#core/decide/placement.ts';
import { jobId, parseRunId, type RunId, runId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { blankRun, isTerminal, type Run } from '#core/model/run.ts';
import type { Entry } from '#core/ports/kv.ts';
import type { Trouble } from './fleet.ts';
import type { Host, Stamp } from './host.ts';
import type { Scenario } from './scenario.ts';
import type { SimHistory } from './sim-history.ts';
import { modOf, type SimLog } from './sim-log.ts';
import type { View } from './view.ts';
import { epoch } from './world.ts';

export interface Violation {
  /** P1, P2, ... of the promises, or `fault`: something that must never be thrown was. */
  property: string;
  /** True ms since the beginning. */
  at: number;
  what: string;
}

/** What is known when everything is over. */
export interface Evidence {
  layout: Layout;
  log: SimLog;
  stamps: readonly Stamp[];
  history: SimHistory;
  hosts: readonly Host[];
  scenario: Scenario;
  troubles: readonly Trouble[];
  /** What the workers believed, some time after the last fault. */
  views: readonly View[];
  /** From then on nobody and nothing interfered. */
  calmAt: number;
  endAt: number;
}

/** How late a start may be in the quiet, ms. */
const steadyMs = 2_000;

/**
 * Holds what the processes did, what was committed and what History says against the promises. The processes' own stamps
 * are the truth; an empty answer says that every promise was kept.
 */
export function check(evidence: Evidence): Violation[] {
  return [
    ...startsOnce(evidence),
    ...attemptsInOrder(evidence),
    ...notAfterItsEnd(evidence),
    ...firstRecordStays(evidence),
    ...neverEarly(evidence),
    ...claimedVersions(evidence),
    ...overlaps(evidence),
    ...records(evidence),
    ...decisions(evidence),
    ...steady(evidence),
    ...kills(evidence),
    ...completes(evidence),
    ...leftovers(evidence),
    ...drained(evidence),
    ...closings(evidence),
    ...placed(evidence),
    ...ownLane(evidence),
    ...withinCapacity(evidence),
    ...decidedInTime(evidence),
    ...views(evidence),
  ];
}

function laneOf(run: RunId): string {
  const { group, name, worker } = parseRunId(run);
  return `${group}/${name}/${worker ?? '~'}`;
}

function startsOnce({ stamps }: Evidence): Violation[] {
  const seen = new Set<RunId>();
  return stamps.flatMap(({ run, start, host }) => {
    const again = seen.has(run);
    seen.add(run);
    return again ? [{ property: 'P1', at: start, what: `${run} started a second time, on ${host}` }] : [];
  });
}

/** Attempt k+1 starts after attempt k has ended, or was closed as lost; each has a greater fence. */
function attemptsInOrder(evidence: Evidence): Violation[] {
  const { stamps } = evidence;
  const by = new Map(stamps.map((stamp) => [stamp.run, stamp]));
  const found: Violation[] = [];
  for (const stamp of stamps) {
    const parts = parseRunId(stamp.run);
    if (parts.attempt === 1) continue;
    const rest = parts.worker === null ? '' : `~${parts.worker}`;
    const before = by.get(`${parts.group}~${parts.name}~${parts.cause}~${parts.attempt - 1}${rest}`);
    if (before === undefined) continue;
    if ((before.end ?? Infinity) > stamp.start && !mayLiveOn(before, evidence))
      found.push({
        property: 'P1',
        at: stamp.start,
        what: `${stamp.run} started before ${before.run} had ended`,
      });
    if (BigInt(before.fence) >= BigInt(stamp.fence))
      found.push({
        property: 'P7',
        at: stamp.start,
        what: `${stamp.run} has no greater fence than ${before.run}`,
      });
  }
  return found;
}

/** Nothing starts whose key somebody has taken away before: it was closed, and another may run in its place. */
function notAfterItsEnd({ stamps, log, layout }: Evidence): Violation[] {
  return stamps.flatMap(({ run, start }) => {
    const { group, name, worker } = parseRunId(run);
    const key = layout.run(jobId(group, name), worker ?? oneLane, run);
    const gone = log.of(key).some(({ change, at }) => at < start && change.type === 'delete');
    return gone ? [{ property: 'P1', at: start, what: `${run} started after it had been closed` }] : [];
  });
}

function firstRecordStays({ history, endAt }: Evidence): Violation[] {
  return history.overwritten.map((run) => ({
    property: 'P2',
    at: endAt,
    what: `the terminal record of ${run} was replaced by another`,
  }));
}

/** By its own clock never; by the true one, where several hosts share it, not by more than their clocks may differ. */
function neverEarly({ stamps, hosts }: Evidence): Violation[] {
  const early = stamps.flatMap(({ run, plan, start, timeKnown }) =>
    hosts.length > 1 &&
    timeKnown &&
    plan.instant !== null &&
    plan.attempt === 1 &&
    epoch + start < plan.instant - maxSkewMs
      ? [{ property: 'P4', at: start, what: `${run} started ${plan.instant - epoch - start} ms early` }]
      : [],
  );
  const own = stamps.flatMap(({ run, plan, goWall, start }) =>
    plan.instant !== null && plan.attempt === 1 && goWall < plan.instant
      ? [
          {
            property: 'P4',
            at: start,
            what: `${run} was let go ${plan.instant - goWall} ms early by its own clock`,
          },
        ]
      : [],
  );
  return [...early, ...own];
}

/** What starts is the version of the job that stood when it was claimed, and it was enabled. */
function claimedVersions({ stamps, log, layout }: Evidence): Violation[] {
  return stamps.flatMap(({ run, plan, fence, start }) => {
    const claim = claimOf(log, layout, run, fence);
    if (claim === null)
      return [{ property: 'P1', at: start, what: `${run} started with no claim behind its fence ${fence}` }];
    const { group, name } = parseRunId(run);
    const entry = log.before(layout.job(jobId(group, name)), claim);
    const read = entry === null ? null : decode(JobValue, entry);
    if (!read?.ok)
      return [
        { property: 'P5', at: start, what: `${run} started, and its job was deleted before the claim` },
      ];
    if (!read.value.job.enabled)
      return [
        { property: 'P5', at: start, what: `${run} started, and its job was disabled before the claim` },
      ];
    // A claim whose host knows nothing of it any more starts what stands now.
    const later = log
      .of(layout.job(jobId(group, name)))
      .some(
        ({ change, at }) =>
          at <= start &&
          change.type === 'put' &&
          BigInt(change.entry.mod) > BigInt(claim) &&
          sameJob(change.entry, plan.job),
      );
    return entry !== null && (sameJob(entry, plan.job) || later)
      ? []
      : [{ property: 'P5', at: start, what: `${run} started a version that was replaced before its claim` }];
  });
}

function sameJob(entry: Entry, job: Job): boolean {
  const read = decode(JobValue, entry);
  return read.ok && JSON.stringify(read.value.job) === JSON.stringify(job);
}

/** The revision at which this run's key became claimed: its creation, or a waiting attempt's claim. */
function claimOf(log: SimLog, layout: Layout, run: RunId, fence: string): string | null {
  const { group, name, worker } = parseRunId(run);
  const key = layout.run(jobId(group, name), worker ?? '~', run);
  for (const { change, before } of log.of(key)) {
    if (change.type !== 'put' || change.entry.create !== fence) continue;
    const value = runningOf(change.entry);
    const was = before === null ? null : runningOf(before);
    if (value?.state === 'claimed' && was?.state !== 'claimed') return change.entry.mod;
  }
  return null;
}

function runningOf(entry: Entry): RunningValue | null {
  const read = decode(RunningValue, entry);
  return read.ok ? read.value : null;
}

/** What was claimed under another policy than `allow` finds nothing running in its lane, but what was closed as lost. */
function overlaps(evidence: Evidence): Violation[] {
  const { stamps } = evidence;
  const lane = new Map<string, Stamp[]>();
  const policies = new Map(stamps.map((stamp) => [stamp, policyOf(stamp, evidence)]));
  const found: Violation[] = [];
  for (const stamp of stamps) {
    const others = lane.get(laneOf(stamp.run)) ?? [];
    if (others.length === 0) lane.set(laneOf(stamp.run), others);
    const before = [...others];
    others.push(stamp);
    if (policies.get(stamp) === 'allow') continue;
    for (const other of before) {
      if (policies.get(other) === 'allow' || (other.end ?? Infinity) <= stamp.start) continue;
      if (mayLiveOn(other, evidence)) continue;
      found.push({
        property: 'P6',
        at: stamp.start,
        what: `${stamp.run} started while ${other.run} was running`,
      });
    }
  }
  return found;
}

/** Whether somebody gave it up; History may have heard of its real end first. */
/**
 * Closed as lost it lives on, unseen: but not where its job has it killed with the lease, unless its host slept, and its warden with it.
 */
function mayLiveOn({ run, plan, host }: Stamp, evidence: Evidence): boolean {
  const slept = evidence.hosts.some(({ id, slept: ms }) => id === host && ms > 0);
  return closedAsLost(run, evidence) && (plan.job.onLeaseLoss === 'continue' || slept);
}

function closedAsLost(run: RunId, { log, layout, history }: Evidence): boolean {
  if (history.records.get(run)?.state === 'lost') return true;
  const key = layout.owing(run);
  return log.of(key).some(({ change }) => {
    if (change.type !== 'put') return false;
    const read = decode(OwedValue, change.entry);
    return read.ok && read.value.run.state === 'lost';
  });
}

/** The policy by which a run came into its lane: that of its first attempt's claim. */
function policyOf(stamp: Stamp, { log, layout }: Evidence): string {
  const parts = parseRunId(stamp.run);
  const job = jobId(parts.group, parts.name);
  const first = layout.run(job, parts.worker ?? oneLane, runId({ ...parts, attempt: 1 }));
  for (const { change } of log.of(first)) {
    if (change.type !== 'put') continue;
    const entry = log.before(layout.job(job), change.entry.mod);
    const read = entry === null ? null : decode(JobValue, entry);
    if (read?.ok) return read.value.job.overlap;
  }
  return stamp.plan.job.overlap;
}

/** Each start has one terminal record, and it says what the process did. */
function records({ stamps, history, hosts, log, layout, endAt }: Evidence): Violation[] {
  const hostOffset = hosts[0]?.wallOffset ?? 0;
  const found: Violation[] = [];
  for (const stamp of stamps) {
    if (stamp.end === null && stamp.start > endAt - 60_000) continue;
    const wrong = (what: string, property = 'P2') =>
      found.push({ property, at: stamp.start, what: `${stamp.run} ${what}` });
    const record = history.records.get(stamp.run);
    if (stamp.end === null || stamp.end > endAt - 20_000) continue;
    if (log.present.has(layout.owing(stamp.run))) continue;
    if (record === undefined || !isTerminal(record.state))
      wrong(`ended, and History says ${record?.state ?? 'nothing'}`);
    else if (record.state === 'lost') {
      // With one worker nobody else closes anything: only a power cut loses a run.
      if (hosts.length === 1 && stamp.endedBy !== 'power')
        wrong('is called lost, and its process ended well', 'P12');
    } else wrongEnd(stamp, record, wrong);
  }
  for (const record of history.records.values()) {
    const last = Math.max(record.startedAt ?? 0, record.claimedAt ?? 0) - hostOffset - epoch;
    if (log.present.has(layout.owing(record.id))) continue;
    if (!isTerminal(record.state) && last > endAt - 60_000) continue;
    if (!isTerminal(record.state))
      found.push({ property: 'P2', at: endAt, what: `${record.id} has no terminal record: ${record.state}` });
    else if (record.startedAt !== null && !stamps.some(({ run }) => run === record.id))
      found.push({
        property: 'P2',
        at: endAt,
        what: `${record.id} has a start in History that no process made`,
      });
  }
  return found;
}

function wrongEnd(stamp: Stamp, record: Run, wrong: (what: string, property?: string) => void): void {
  if (record.startedAt === null)
    wrong(`ran, and its record (${record.state}: ${record.reason}) has no start`);
  else if (stamp.endedBy === 'exit' && stamp.signalled === null) {
    if (record.exitCode !== stamp.code)
      wrong(`exited with ${stamp.code}, its record says ${record.exitCode} (${record.state})`, 'P12');
    // Whose kill or timeout came as it was ending by itself may be called by that.
    else if (!['killed', 'timed_out', stamp.code === 0 ? 'succeeded' : 'failed'].includes(record.state))
      wrong(`exited with ${stamp.code} and is called ${record.state}`, 'P12');
  } else if (stamp.endedBy === 'signal' && record.state !== 'killed' && record.state !== 'timed_out')
    wrong(`was ended by our signal and is called ${record.state}`);
}

function covered(of: readonly Run[], instant: number): boolean {
  return of.some(
    (run) => run.instant !== null && run.instant <= instant && instant <= (run.until ?? run.instant),
  );
}

/** What is written down of each job: at History, or owed to it. */
function recordsOf({ history, log, layout }: Evidence): Map<string, Run[]> {
  const by = new Map<string, Run[]>();
  const owed = [...log.present.values()].flatMap((entry) => {
    const read = entry.key.startsWith(layout.owed) ? decode(OwedValue, entry) : null;
    return read?.ok ? [read.value.run as unknown as Run] : [];
  });
  // A claimed instant is being taken care of; whether it ends is looked at elsewhere.
  const claimed = [...log.present.values()].flatMap((entry) => {
    const value = entry.key.startsWith(layout.running) ? runningOf(entry) : null;
    if (value === null) return [];
    const id = entry.key.slice(entry.key.lastIndexOf('/') + 1);
    const { group, name } = parseRunId(id);
    return [
      blankRun({
        id,
        group,
        name,
        state: 'claimed',
        attempt: 1,
        trigger: value.trigger,
        instant: value.instant,
      }),
    ];
  });
  for (const run of [...history.records.values(), ...owed, ...claimed]) {
    const id = jobId(run.group, run.name);
    by.set(id, [...(by.get(id) ?? []), run]);
  }
  return by;
}

/** Whoever moves a cursor leaves a record of every instant it passes; no cursor goes back. */
function decisions(evidence: Evidence): Violation[] {
  const { log, layout, endAt } = evidence;
  const found: Violation[] = [];
  const by = recordsOf(evidence);
  for (const { change, before, at } of log.changes) {
    if (change.type !== 'put') continue;
    const key = splitKey(layout.cursors, change.entry.key);
    const to = key === null ? null : cursorOf(change.entry);
    if (key === null || to === null) continue;
    const from = before === null ? null : cursorOf(before);
    const fresh = at > endAt - 60_000;
    if (from !== null && to < from) {
      found.push({
        property: 'P1',
        at,
        what: `the cursor of ${key.job} went back from ${text(from)} to ${text(to)}`,
      });
      continue;
    }
    const entry = log.before(layout.job(key.job), change.entry.mod);
    const read = entry === null ? null : decode(JobValue, entry);
    if (!read?.ok) {
      found.push({ property: 'P5', at, what: `the cursor of ${key.job} moved without its job` });
      continue;
    }
    const record = read.value;
    const schedule = scheduleOf(record.job);
    const above = from ?? record.floor;
    const since =
      record.floorWhy === 'created' || key.rest[0] !== '~' ? Math.max(above, record.floor) : above;
    for (
      let next = schedule?.next(since) ?? null;
      next !== null && next <= to;
      next = schedule?.next(next) ?? null
    )
      if (!fresh && !covered(by.get(key.job) ?? [], next) && !ordered(log, layout, key.job, next))
        found.push({
          property: 'P2',
          at,
          what: `${key.job} ${text(next)} was passed by its cursor and has no record`,
        });
  }
  return found;
}

/** An order that is not through yet still stands for what lies ahead of it. */
function ordered(log: SimLog, layout: Layout, job: string, instant: number): boolean {
  return [...log.present.values()].some((entry) => {
    if (!entry.key.startsWith(layout.ordersOf(job))) return false;
    const read = decode(OrderValue, entry);
    if (!read.ok || read.value.done) return false;
    const { next, to } = read.value;
    return next !== null && to !== null && next <= instant && instant <= to;
  });
}

function cursorOf(entry: Entry): number | null {
  const read = decode(CursorValue, entry);
  return read.ok ? read.value.instant : null;
}

/** In the quiet every instant is decided in time, and what starts starts in time. */
function steady(evidence: Evidence): Violation[] {
  const { log, layout, stamps, hosts, scenario, calmAt, endAt } = evidence;
  const found: Violation[] = [];
  const offset = hosts[0]?.wallOffset ?? 0;
  const from = epoch + calmAt + offset + 90_000;
  const to = epoch + endAt + offset - 15_000;
  const by = recordsOf(evidence);
  for (const job of jobsAtEnd(log, layout)) {
    if (job.job.mode === 'all') continue;
    const id = jobId(job.job.group, job.job.name);
    const schedule = scheduleOf(job.job);
    // What a clock that was set back comes by again has been decided before.
    const passed = cursorAt(log, layout.cursor(id, oneLane), calmAt);
    const held = [...log.present.keys()].some((key) => key.startsWith(layout.runningJob(id)));
    // A backlog that runs one after the other, or a queue, has its own pace.
    if (job.job.overlap !== 'skip' && job.job.overlap !== 'allow') continue;
    if (
      held ||
      isOverworked(scenario) ||
      job.job.catchUp === 'all' ||
      eligible(job.job, evidence).length === 0
    )
      continue;
    for (
      let next = schedule?.next(from) ?? null;
      next !== null && next < to;
      next = schedule?.next(next) ?? null
    )
      if (next > Math.max(job.floor, passed) && !covered(by.get(id) ?? [], next))
        found.push({
          property: 'P3',
          at: next - epoch,
          what: `${id} ${text(next)} has no record, though all was quiet`,
        });
  }
  for (const { run, plan, goWall, start } of stamps) {
    if (plan.instant === null || plan.trigger !== 'schedule' || start < calmAt + 90_000) continue;
    const late = goWall - plan.instant;
    if (
      late > steadyMs &&
      (plan.job.overlap === 'skip' || plan.job.overlap === 'allow') &&
      hosts.length === 1
    )
      found.push({
        property: 'P3',
        at: start,
        what: `${run} was let go ${late} ms late, though all was quiet`,
      });
  }
  return found;
}

function cursorAt(log: SimLog, key: string, time: number): number {
  let instant = 0;
  for (const { change, at } of log.of(key))
    if (at <= time && change.type === 'put') instant = cursorOf(change.entry) ?? instant;
  return instant;
}

function jobsAtEnd(log: SimLog, layout: Layout): JobRecord[] {
  return [...log.present.values()].flatMap((entry) => {
    if (!entry.key.startsWith(layout.jobs)) return [];
    const read = decode(JobValue, entry);
    return read.ok ? [read.value] : [];
  });
}

/** A confirmed kill leaves no process; and nobody is signalled whom nobody asked to. */
function kills({ stamps, history, hosts, log, layout }: Evidence): Violation[] {
  const asked = new Set(
    log.changes.flatMap(({ change }) =>
      change.type === 'put' && change.entry.key.startsWith(layout.kills)
        ? [change.entry.key.slice(layout.kills.length)]
        : [],
    ),
  );
  return stamps.flatMap((stamp) => {
    const found: Violation[] = [];
    const confirmed = history.records.get(stamp.run)?.kill?.confirmedAt ?? null;
    if (confirmed !== null && stamp.end === null)
      found.push({ property: 'P8', at: stamp.start, what: `${stamp.run} lives, and its kill is confirmed` });
    if (stamp.signalled === 'killed' && !asked.has(stamp.run))
      found.push({ property: 'P8', at: stamp.start, what: `${stamp.run} was killed, and nobody had asked` });
    if (stamp.signalled === 'timed_out' && stamp.plan.job.timeout === null)
      found.push({ property: 'P8', at: stamp.start, what: `${stamp.run} was timed out, and has no timeout` });
    if (stamp.endedBy === 'signal' && stamp.signalled === null)
      found.push({
        property: 'P8',
        at: stamp.start,
        what: `${stamp.run} was ended by a signal for no reason`,
      });
    return hosts.length > 0 ? found : [];
  });
}

/** What was lost of an at-least-once job is tried again. */
function completes({ history, log, layout, endAt }: Evidence): Violation[] {
  const asked = new Set(
    [...log.changes].map(({ change }) => (change.type === 'put' ? change.entry.key : '')),
  );
  const found: Violation[] = [];
  for (const run of history.records.values()) {
    if (run.state !== 'lost' || asked.has(layout.kill(run.id)) || (run.endedAt ?? 0) > epoch + endAt - 60_000)
      continue;
    const { group, name, ...parts } = parseRunId(run.id);
    const job = log.present.get(layout.job(jobId(group, name)));
    const read = job === undefined ? null : decode(JobValue, job);
    if (!read?.ok || read.value.job.guarantee !== 'at-least-once') continue;
    if (versions(log, layout.job(jobId(group, name))) > 1) continue;
    const rest = parts.worker === null ? '' : `~${parts.worker}`;
    const next = `${group}~${name}~${parts.cause}~${parts.attempt + 1}${rest}`;
    if (!history.records.has(next) && ![...log.present.keys()].some((key) => key.endsWith(`/${next}`)))
      found.push({ property: 'P7', at: endAt, what: `${run.id} was lost, and no attempt followed` });
  }
  return found;
}

function versions(log: SimLog, key: string): number {
  return log.of(key).length;
}

/** At the end nothing is left over: no key of a run without its process, no process of an ended run, nothing owed. */
function leftovers({ log, layout, hosts, history, stamps, scenario, endAt }: Evidence): Violation[] {
  const found: Violation[] = [];
  const wrong = (property: string, what: string) => found.push({ property, at: endAt, what });
  const alive = new Map(
    hosts.flatMap((host) => [...host.processes].map(([run, process]) => [run, process] as const)),
  );
  for (const entry of log.present.values()) {
    if (entry.key.startsWith(layout.running)) {
      const run = entry.key.slice(entry.key.lastIndexOf('/') + 1);
      const value = runningOf(entry);
      const wall = endAt + epoch + (hosts[0]?.wallOffset ?? 0);
      // What more is asked of a worker than it can take waits for its turn.
      const queues = value?.state === 'waiting' && isOverworked(scenario);
      const old = value !== null && !queues && wall - Math.max(value.at, value.notBefore) > 60_000;
      if (old && alive.get(run)?.state !== 'running')
        wrong('P11', `${run} has a ${value.state} key of ${value.worker}, and no process`);
    }
    if (entry.key.startsWith(layout.owed)) {
      const age =
        endAt -
        (log.changes.findLast(({ change }) => change.type === 'put' && change.entry === entry)?.at ?? 0);
      // Ages go by the wall clock: set back, they stand still for that long.
      if (age > 70_000 && !scenario.faults.some(({ kind, ms }) => kind === 'step' && ms < 0))
        wrong('P2', `${entry.key} is still owed`);
    }
  }
  for (const [run, process] of alive) {
    const record = history.records.get(run);
    if (
      process.state === 'running' &&
      record !== undefined &&
      isTerminal(record.state) &&
      record.state !== 'lost'
    )
      wrong('P11', `${run} is ${record.state}, and its process lives`);
  }
  const ended = new Set(
    stamps.filter(({ end }) => end !== null && end < endAt - 60_000).map(({ run }) => run),
  );
  for (const host of hosts) {
    for (const run of host.files.keys())
      if (ended.has(run)) wrong('P11', `the directory of ${run} was not forgotten`);
    if (host.spool.length > 50)
      wrong('P9', `${host.spool.length} records are still in the spool of ${host.id}`);
  }
  return found;
}

/** A drained worker claims nothing. */
function drained({ log, layout }: Evidence): Violation[] {
  const drains = new Set<string>();
  const found: Violation[] = [];
  for (const { change, before, at } of log.changes) {
    const key = change.type === 'put' ? change.entry.key : change.key;
    if (key.startsWith(layout.drains)) {
      const id = key.slice(layout.drains.length);
      if (change.type === 'put') drains.add(id);
      else drains.delete(id);
    }
    if (change.type !== 'put' || !key.startsWith(layout.running)) continue;
    const value = runningOf(change.entry);
    const was = before === null ? null : runningOf(before);
    if (value?.state === 'claimed' && was?.state !== 'claimed' && drains.has(value.worker))
      found.push({ property: 'P13', at, what: `${key} was claimed by ${value.worker}, which is drained` });
  }
  return found;
}

function text(instant: number): string {
  return new Date(instant).toISOString();
}

/** The hosts that a job's target names. */
function eligible(job: Job, { hosts, scenario }: Evidence): Host[] {
  return hosts.filter(({ id }, i) => fits(job, { id, labels: scenario.workers[i]?.labels ?? {} }));
}

/** Whether no request gets lost. */
function isStill({ weather }: Scenario): boolean {
  const { refused, lost, replyLost, late, doubled } = weather;
  return [refused, lost, replyLost, late, doubled].every((odd) => odd === 0);
}

function isWell({ troubles }: Evidence, host: string, from: number, to: number): boolean {
  return !troubles.some((one) => (one.host ?? host) === host && one.from <= to && one.to >= from);
}

/** Whether workers may be full: then some of what is due has to wait. */
function isOverworked({ workers }: Scenario): boolean {
  return workers.some(({ capacity }) => capacity < 100);
}

/** What starts is started where its target says. */
function placed(evidence: Evidence): Violation[] {
  return evidence.stamps.flatMap(({ run, plan, host, start }) =>
    evidence.scenario.workers.length === 0 || eligible(plan.job, evidence).some(({ id }) => id === host)
      ? []
      : [
          {
            property: 'target',
            at: start,
            what: `${run} started on ${host}, which its target does not name`,
          },
        ],
  );
}

/** In mode all a lane's runs are its worker's own. */
function ownLane({ stamps }: Evidence): Violation[] {
  return stamps.flatMap(({ run, host, start }) => {
    const { worker } = parseRunId(run);
    return worker === null || worker === host
      ? []
      : [{ property: 'target', at: start, what: `${run} started on ${host}` }];
  });
}

/**
 * A worker takes no more at once than it said it would, but for what it does not know of: runs that were closed as lost may live on, and
 * claims in doubt may turn out to be its own.
 */
function withinCapacity(evidence: Evidence): Violation[] {
  const { scenario, hosts, stamps } = evidence;
  if (!isStill(scenario)) return [];
  return hosts.flatMap(({ id }, i) => {
    const own = stamps.filter(({ host }) => host === id);
    const most = scenario.workers[i]?.capacity ?? Number.POSITIVE_INFINITY;
    return own.flatMap((stamp) => {
      const beside = own.filter(
        (one) =>
          one.start <= stamp.start &&
          (one.end ?? Number.POSITIVE_INFINITY) > stamp.start &&
          !closedAsLost(one.run, evidence),
      );
      return beside.length <= most || !isWell(evidence, id, stamp.start - healthyMs, stamp.start)
        ? []
        : [
            {
              property: 'capacity',
              at: stamp.start,
              what: `${id} runs ${beside.length} at once, its capacity is ${most}`,
            },
          ];
    });
  });
}

/** Nobody closes the run of a worker that is there: neither of one that never went, nor of one that is back. */
function closings({ log, layout }: Evidence): Violation[] {
  return log.changes.flatMap(({ change, before, at }) => {
    if (change.type !== 'delete' || before === null || !change.key.startsWith(layout.running)) return [];
    const value = runningOf(before);
    const run = change.key.slice(change.key.lastIndexOf('/') + 1);
    const owed = log.of(layout.owing(run)).find((one) => modOf(one.change) === change.mod)?.change;
    const read = owed?.type === 'put' ? decode(OwedValue, owed.entry) : null;
    if (value === null || !read?.ok || read.value.by === value.worker) return [];
    const standing = log.before(layout.worker(value.worker), change.mod);
    return standing === null
      ? []
      : [
          {
            property: 'P12',
            at,
            what: `${run} was closed by ${read.value.by}, and its worker ${value.worker} was there`,
          },
        ];
  });
}

/** How soon after its instant a lane is decided: by workers that nothing has troubled, and where some have been. */
const calmMs = 2_000;
const takeOverMs = 10_000 + 1_000 + 1_000 + 3_000;
/** A worker counts as one that nothing troubles when nothing has for so long. */
const healthyMs = 25_000;

/** An instant is decided in time, faults or no faults, as long as one eligible worker has been well for a while. */
function decidedInTime(evidence: Evidence): Violation[] {
  const { log, layout, hosts, scenario, endAt } = evidence;
  // Requests that get lost cost what their deadlines are; a single machine's clock may be set.
  if (hosts.length === 1 || still.some((odd) => odd > 0) || workers.some(({ capacity }) => capacity < 100))
    return [];
  const found: Violation[] = [];
  for (const { job, floor, paused } of jobsAtEnd(log, layout)) {
    const id = jobId(job.group, job.name);
    if (job.mode === 'all' || (job.overlap !== 'skip' && job.overlap !== 'allow') || paused !== null)
      continue;
    const versions = log.of(layout.job(id));
    const since = versions.at(-1)?.at ?? 0;
    const schedule = scheduleOf(job);
    const moves = log.of(layout.cursor(id, oneLane));
    const first = Math.max(floor, epoch + since + healthyMs);
    for (
      let next = schedule?.next(first) ?? null;
      next !== null && next < epoch + endAt - takeOverMs;
      next = schedule?.next(next) ?? null
    ) {
      const instant = next;
      const at = instant - epoch;
      const from = at - healthyMs;
      const able = eligible(job, evidence).some(({ id: host }) =>
        isWell(evidence, host, from, at + takeOverMs),
      );
      if (!able) continue;
      const within = hosts.every(({ id: host }) => isWell(evidence, host, from, at + calmMs))
        ? calmMs
        : takeOverMs;
      const decided = moves.find(
        ({ change }) => change.type === 'put' && (cursorOf(change.entry) ?? 0) >= instant,
      );
      if (decided === undefined || decided.at > at + within)
        found.push({
          property: 'P3',
          at,
          what: `${id} ${text(instant)} was decided ${decided === undefined ? 'never' : `${decided.at - at} ms late`}, though ${within === calmMs ? 'all was well' : 'a worker was well'}`,
        });
    }
  }
  return found;
}

/** After the faults have ended every worker sees what the store holds. */
function views({ views: seen }: Evidence): Violation[] {
  return seen.flatMap(({ worker, at, differs }) =>
    differs.map(({ key, seen: mine, stands }) => ({
      property: 'P10',
      at,
      what: `${worker} sees ${key} at ${mine}, and it stands at ${stands}`,
    })),
  );
}
