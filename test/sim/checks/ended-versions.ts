import { scheduleOf } from '#core/cluster/check-job.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { decode, JobValue, OwedValue, WorkerValue } from '#core/cluster/records.ts';
import { fits } from '#core/decide/placement.ts';
import { instantText, parseRunId } from '#core/model/ids.ts';
import type { JobRecord } from '#core/model/job.ts';
import type { Run } from '#core/model/run.ts';
import { type Logged, modOf } from '../sim-log.ts';
import { epoch } from '../world.ts';
import { covered, ordered, recordsOf } from './covering.ts';
import { cursorOf, type Evidence, text, type Violation } from './evidence.ts';

/** What a request of people takes at most from their clock to its commit, ms. */
const onItsWayMs = 400;
/** Why an instant did not run because its version was over. */
const endings = ['edited', 'disabled', 'deleted'];

/**
 * What was due under a version of a job has its record, though that was edited, disabled, paused or deleted before anybody had decided
 * it; and what is said not to have run for that has not.
 */
export function endedVersions(evidence: Evidence): Violation[] {
  const { log, layout, endAt } = evidence;
  const by = recordsOf(evidence);
  const found: Violation[] = [];
  const keys = new Set(
    log.changes.flatMap(({ change }) =>
      change.type === 'put' && change.entry.key.startsWith(layout.jobs) ? [change.entry.key] : [],
    ),
  );
  for (const key of keys) {
    const id = key.slice(layout.jobs.length);
    const versions = log.of(key);
    for (const [n, { change }] of versions.entries()) {
      const next = versions[n + 1];
      if (change.type !== 'put' || next === undefined || next.at > endAt - 60_000) continue;
      const read = decode(JobValue, change.entry);
      if (!read.ok || !read.value.job.enabled) continue;
      const schedule = scheduleOf(read.value.job);
      // What a clock that was set back comes by again has been decided before, under another version.
      const passed = isClockSet(evidence) ? log.before(layout.cursor(id, oneLane), change.entry.mod) : null;
      const above = Math.max(read.value.floor, (passed && cursorOf(passed)) ?? 0);
      for (const { lane, since } of lanesOf(read.value, next, evidence)) {
        const until = dueUntil(read.value, lane, next, evidence);
        if (until === null) continue;
        const records = (by.get(id) ?? []).filter((run) => isOwn(run) && laneOf(run) === lane);
        for (
          let due = schedule?.next(Math.max(above, since)) ?? null;
          due !== null && due <= until;
          due = schedule?.next(due) ?? null
        )
          if (!covered(records, due) && !ordered(evidence, id, due))
            found.push({
              property: 'P2',
              at: next.at,
              what: `${id} ${text(due)} was due when its version ended${lane === oneLane ? '' : ` on ${lane}`}, and has no record`,
            });
      }
    }
  }
  return [...found, ...ranAllTheSame(evidence)];
}

/** Up to when instants of a lane were due under a version that has ended; null: they still are under the next. UTC ms by the clock that ended it. */
function dueUntil(
  version: JobRecord,
  lane: string,
  { change, at }: Logged,
  evidence: Evidence,
): number | null {
  // When a clock that is set by minutes said what is not known afterwards.
  if (change.type === 'delete')
    return isClockSet(evidence) ? null : epoch + at + evidence.scenario.apiOffsetMs - onItsWayMs;
  const read = decode(JobValue, change.entry);
  if (!read.ok) return null;
  const { floor, updatedAt, revision, job } = read.value;
  const saved = revision !== version.revision;
  // Above a floor that stands higher than its save's own time, others have claimed ahead.
  if (floor > version.floor) return saved ? Math.min(floor, updatedAt) : floor;
  const worker = evidence.log.before(evidence.layout.worker(lane), modOf(change));
  const there = worker === null ? null : decode(WorkerValue, worker);
  const leftOut = lane !== oneLane && there?.ok && !fits(job, there.value);
  return job.enabled && !leftOut ? null : updatedAt;
}

/** One machine, whose API lives by the same clock: of several the API goes by the true one. */
function isClockSet({ scenario, hosts }: Evidence): boolean {
  return hosts.length === 1 && scenario.faults.some(({ kind }) => kind === 'step');
}

/** The schedule's: what was asked for by hand bears the name of its order. */
function isOwn({ id, instant }: Pick<Run, 'id' | 'instant'>): boolean {
  return instant !== null && parseRunId(id).cause === instantText(instant);
}

function laneOf({ id }: Run): string {
  return parseRunId(id).worker ?? oneLane;
}

/** In mode all every worker that was there and fitted, from when it had come. */
function lanesOf(
  { job }: JobRecord,
  { change }: Logged,
  { log, layout, hosts }: Evidence,
): { lane: string; since: number }[] {
  if (job.mode === 'one') return [{ lane: oneLane, since: 0 }];
  return hosts.flatMap(({ id }) => {
    const entry = log.before(layout.worker(id), modOf(change));
    const read = entry === null ? null : decode(WorkerValue, entry);
    return read?.ok && fits(job, read.value) ? [{ lane: id, since: read.value.since }] : [];
  });
}

function ranAllTheSame({ stamps, history, log, layout }: Evidence): Violation[] {
  const owed = log.changes.flatMap(({ change }) => {
    const isOwed = change.type === 'put' && change.entry.key.startsWith(layout.owed);
    const read = isOwed ? decode(OwedValue, change.entry) : null;
    return read?.ok ? [read.value.run as unknown as Run] : [];
  });
  const said = [...history.records.values(), ...owed].filter(
    (run) => run.state === 'skipped' && endings.includes(run.reason) && run.attempt === 1 && isOwn(run),
  );
  return stamps.flatMap(({ run, plan, start }) => {
    const { instant } = plan;
    const { group, name, worker } = parseRunId(run);
    if (instant === null || !isOwn({ id: run, instant })) return [];
    const settled = said.find(
      (one) =>
        one.group === group &&
        one.name === name &&
        parseRunId(one.id).worker === worker &&
        covered([one], instant),
    );
    return settled === undefined
      ? []
      : [{ property: 'P2', at: start, what: `${run} ran, and ${settled.id} says ${settled.reason}` }];
  });
}
