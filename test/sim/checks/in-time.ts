import { scheduleOf } from '#core/cluster/check-job.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { jobId } from '#core/model/ids.ts';
import type { SimLog } from '../sim-log.ts';
import { epoch } from '../world.ts';
import { covered, recordsOf } from './covering.ts';
import {
  cursorOf,
  type Evidence,
  eligible,
  healthyMs,
  isOverworked,
  isStill,
  isWell,
  jobsAtEnd,
  text,
  type Violation,
} from './evidence.ts';

/** How late a start may be in the quiet, ms. */
const steadyMs = 2_000;

/** In the quiet every instant is decided in time, and what starts starts in time. */
export function steady(evidence: Evidence): Violation[] {
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

/** How soon after its instant a lane is decided: by workers that nothing has troubled, and where some have been. */
const calmMs = 2_000;

const takeOverMs = 10_000 + 1_000 + 1_000 + 3_000;

/** An instant is decided in time, faults or no faults, as long as one eligible worker has been well for a while. */
export function decidedInTime(evidence: Evidence): Violation[] {
  const { log, layout, hosts, scenario, endAt } = evidence;
  // Requests that get lost cost what their deadlines are; a single machine's clock may be set.
  if (hosts.length === 1 || !isStill(scenario) || isOverworked(scenario)) return [];
  // Whom a job fitted when is not known where labels have changed.
  if (scenario.faults.some(({ kind }) => kind === 'relabel')) return [];
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
