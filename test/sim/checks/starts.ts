import { type Layout, oneLane } from '#core/cluster/keys.ts';
import { decode, JobValue, WorkerValue } from '#core/cluster/records.ts';
import { fits, maxSkewMs } from '#core/decide/placement.ts';
import { jobId, parseRunId, type RunId, runId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import type { Entry } from '#core/ports/kv.ts';
import type { Stamp } from '../host.ts';
import type { SimLog } from '../sim-log.ts';
import { epoch } from '../world.ts';
import {
  closedAsLost,
  type Evidence,
  healthyMs,
  isStill,
  isWell,
  mayLiveOn,
  runningOf,
  type Violation,
} from './evidence.ts';

function laneOf(run: RunId): string {
  const { group, name, worker } = parseRunId(run);
  return `${group}/${name}/${worker ?? '~'}`;
}

export function startsOnce({ stamps }: Evidence): Violation[] {
  const seen = new Set<RunId>();
  return stamps.flatMap(({ run, start, host }) => {
    const again = seen.has(run);
    seen.add(run);
    return again ? [{ property: 'P1', at: start, what: `${run} started a second time, on ${host}` }] : [];
  });
}

/** Attempt k+1 starts after attempt k has ended, or was closed as lost; each has a greater fence. */
export function attemptsInOrder(evidence: Evidence): Violation[] {
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
export function notAfterItsEnd({ stamps, log, layout }: Evidence): Violation[] {
  return stamps.flatMap(({ run, start }) => {
    const { group, name, worker } = parseRunId(run);
    const key = layout.run(jobId(group, name), worker ?? oneLane, run);
    const gone = log.of(key).some(({ change, at }) => at < start && change.type === 'delete');
    return gone ? [{ property: 'P1', at: start, what: `${run} started after it had been closed` }] : [];
  });
}

/** By its own clock never; by the true one, where several hosts share it, not by more than their clocks may differ. */
export function neverEarly({ stamps, hosts }: Evidence): Violation[] {
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
export function claimedVersions({ stamps, log, layout }: Evidence): Violation[] {
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

/** What was claimed under another policy than `allow` finds nothing running in its lane, but what was closed as lost. */
export function overlaps(evidence: Evidence): Violation[] {
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

/** What starts is started where its target says, by what its worker was when it was claimed. */
export function placed({ stamps, log, layout }: Evidence): Violation[] {
  return stamps.flatMap(({ run, plan, host, start, fence }) => {
    const claim = claimOf(log, layout, run, fence);
    const entry = claim === null ? null : log.before(layout.worker(host), claim);
    const read = entry === null ? null : decode(WorkerValue, entry);
    return !read?.ok || fits(plan.job, read.value)
      ? []
      : [
          {
            property: 'target',
            at: start,
            what: `${run} started on ${host}, which its target does not name`,
          },
        ];
  });
}

/** An instant runs once, or once on each worker; never both, though its job has gone from one to the other. */
export function oneOrAll({ stamps }: Evidence): Violation[] {
  const seen = new Map<string, Stamp>();
  return stamps.flatMap((stamp) => {
    const { instant, trigger } = stamp.plan;
    const { group, name, worker } = parseRunId(stamp.run);
    if (instant === null || (trigger !== 'schedule' && trigger !== 'catch-up')) return [];
    const key = `${group}/${name} ${instant}`;
    const other = seen.get(key);
    if (other === undefined) seen.set(key, stamp);
    return other === undefined || (parseRunId(other.run).worker === null) === (worker === null)
      ? []
      : [{ property: 'P1', at: stamp.start, what: `${stamp.run} started, and ${other.run} had` }];
  });
}

/** In mode all a lane's runs are its worker's own. */
export function ownLane({ stamps }: Evidence): Violation[] {
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
export function withinCapacity(evidence: Evidence): Violation[] {
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
