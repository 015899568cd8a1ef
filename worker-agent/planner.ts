import type { Batcher } from '#core/cluster/batch.ts';
import { lookAtLane, readLane } from '#core/cluster/claim.ts';
import { oneLane, splitKey } from '#core/cluster/keys.ts';
import { readCursor } from '#core/cluster/read-key.ts';
import { cursorAheadMs } from '#core/decide/due.ts';
import { isPaused } from '#core/decide/may-start.ts';
import type { JobId } from '#core/model/ids.ts';
import { type Entry, prefixRange } from '#core/ports/kv.ts';
import type { ArmingPace } from './arming-pace.ts';
import { type AgentDeps, type Guard, times } from './context.ts';
import { createDecisions } from './decisions.ts';
import { createGates } from './gates.ts';
import type { Intents } from './intents.ts';
import type { Lane } from './lane.ts';
import { createLaneValues } from './lane-values.ts';
import type { Mirror, MirroredJob } from './mirror.ts';
import type { Place } from './places.ts';
import type { Presence } from './presence.ts';
import type { Room } from './room.ts';
import type { Runs } from './runs.ts';
import type { Starter } from './starter.ts';
import type { Timeline } from './timeline.ts';

export interface PlannerDeps extends AgentDeps {
  mirror: Mirror;
  presence: Presence;
  runs: Runs;
  starter: Starter;
  claims: Batcher;
  reads: Batcher;
  intents: Intents;
  timeline: Timeline;
  guard: Guard;
  /** This worker's place among those that may try this job: 0 home, 1 and 2 deputies, null: not at all. */
  placeOf(job: MirroredJob): Place | null;
  /** A running key under my name that I know nothing of. */
  found(entry: Entry): void;
  room: Room;
  pace: ArmingPace;
  /** Asks that the living runs of a lane be killed (overlap: replace). */
  replace(job: JobId, running: readonly Entry[]): void;
}

/** About how soon it is seen that a cursor which could not be read, or stood ahead of the clock, was mended, or taken away. */
const unreadableWaitMs = 10_000;
const pageSize = 1_000;

/**
 * Decides every instant of the lanes that are this worker's to decide, each once, by the cursor. A lane is at rest, waits at a
 * gate or for a time, or is busy with one transaction; never two of these.
 */
export function createPlanner(deps: PlannerDeps) {
  const { kv, layout, clock, settings, mirror, reads, timeline, events, guard, room } = deps;
  const lanes = new Map<JobId, Lane>();
  const values = createLaneValues(deps);
  const gates = createGates({
    ...deps,
    claim: (lane, gate) => decisions.claimAtGate(lane, gate),
    lanePlan: values.lanePlan,
    later: wake,
  });
  const decisions = createDecisions({ ...deps, values, gates, plan, wake, wakeIn, setCursor, see });
  let open = false;
  let closed = false;

  /** Finds out what this lane does next. Cheap; called whenever something about it may have changed. */
  function plan(lane: Lane): void {
    lane.cancelWake?.();
    lane.cancelWake = null;
    if (!open || lane.busy || lanes.get(lane.job) !== lane) return;
    const job = mirror.jobs.get(lane.job);
    const verdict = job === undefined || !lane.loaded ? null : values.verdictOf(lane, job, clock.now());
    if (job !== undefined && verdict?.do === 'wait' && gates.stands(lane, verdict.at, job.mod)) return;
    gates.leave(lane);
    if (job === undefined) return;
    if (verdict === null) {
      guard('load', load(lane));
      return;
    }
    if (lane.cursor !== null && lane.cursor > clock.now() + cursorAheadMs && !isIdle(job)) {
      // Nothing is due while it stands. Who takes it away does so by hand, and nobody watches cursors.
      lane.loaded = false;
      wakeIn(lane, unreadableWait());
      return;
    }
    if (verdict.do === 'rest') return;
    if (verdict.do === 'wait') {
      const { instant, at } = verdict;
      if (
        instant !== null &&
        lane.place === 0 &&
        lane.runnable &&
        gates.enter(lane, instant, values.leadCap(job, instant))
      )
        return;
      wake(lane, at + (times.deputyDelays[lane.place] ?? 0));
      if (lane.place > 0) lane.loaded = false;
      return;
    }
    guard('act', decisions.act(lane, job, verdict));
  }

  /** Nothing of it is due, whatever its cursor says. */
  function isIdle({ record }: MirroredJob): boolean {
    return !record.job.enabled || isPaused(record.paused, clock.now());
  }

  /** Where a clock or a hand has spoilt many cursors, not all are asked for at once. */
  function unreadableWait(): number {
    return unreadableWaitMs * (0.5 + deps.ids.chance());
  }

  function wake(lane: Lane, at: number): void {
    lane.cancelWake?.();
    lane.cancelWake = timeline.at(at, () => plan(lane));
  }

  function wakeIn(lane: Lane, ms: number): void {
    lane.cancelWake?.();
    lane.cancelWake = timeline.in(ms, () => plan(lane));
  }

  /** Reads cursor and living runs of one lane, then plans it. */
  async function load(lane: Lane): Promise<void> {
    lane.busy = true;
    try {
      const result = await reads.submit(lookAtLane(layout, lane.job, lane.lane));
      if (result.outcome === 'done') see(lane, readLane(result.results));
    } finally {
      lane.busy = false;
    }
    if (lane.loaded) plan(lane);
    else wakeIn(lane, lane.unreadable === null ? times.margin : unreadableWait());
  }

  /** Takes in what a look or a refusal has shown. */
  function see(lane: Lane, seen: { cursor: Entry | null; running: Entry[] }): void {
    setCursor(lane, seen.cursor);
    for (const entry of seen.running) deps.found(entry);
  }

  function setCursor(lane: Lane, entry: Entry | null): void {
    lane.loaded = true;
    lane.cursorMod = entry?.mod ?? '0';
    const read = entry === null ? null : readCursor(layout, entry);
    if (read !== null && !read.ok) {
      if (lane.unreadable !== lane.cursorMod)
        events.emit({ type: 'key.invalid', key: read.key, problem: read.problem });
      lane.unreadable = lane.cursorMod;
      // What it told is not known: whatever is decided without it might have been decided before.
      lane.loaded = false;
      return;
    }
    lane.unreadable = null;
    lane.cursor = read === null ? null : read.value.instant;
  }

  /** A job's lane is mine to decide, or no more. True: something about that has changed. */
  function place(job: JobId): boolean {
    const mirrored = mirror.jobs.get(job);
    const at = mirrored === undefined ? null : deps.placeOf(mirrored);
    const id = mirrored?.record.job.mode === 'all' ? settings.id : oneLane;
    let lane = lanes.get(job);
    const had = lane !== undefined;
    if (lane !== undefined && (at === null || lane.lane !== id)) {
      drop(lane);
      lane = undefined;
    }
    if (at === null) return had;
    if (lane === undefined) {
      lane = {
        job,
        lane: id,
        ...at,
        cursor: null,
        cursorMod: '0',
        loaded: false,
        unreadable: null,
        busy: false,
        held: null,
        waits: 0,
        gate: null,
        cancelWake: null,
      };
      lanes.set(job, lane);
      return true;
    }
    const changed = lane.place !== at.place || lane.runnable !== at.runnable;
    lane.place = at.place;
    lane.runnable = at.runnable;
    return changed;
  }

  function drop(lane: Lane): void {
    lanes.delete(lane.job);
    lane.cancelWake?.();
    lane.cancelWake = null;
    gates.leave(lane);
    room.leave(lane);
  }

  /** Reads every cursor by pages: at a start that is one sweep and not a request a job. */
  async function loadAll(): Promise<void> {
    const range = prefixRange(layout.cursors);
    let key = range.key;
    let revision: string | undefined;
    // Whose cursor does not show has none; one that shows, but can't be read, is another matter.
    for (const lane of lanes.values()) lane.loaded = true;
    for (;;) {
      const page = await kv.range(
        { key, end: range.end },
        revision === undefined ? { limit: pageSize } : { limit: pageSize, revision },
      );
      revision = page.revision;
      for (const entry of page.entries) {
        const at = splitKey(layout.cursors, entry.key);
        const lane = at === null ? undefined : lanes.get(at.job);
        if (lane !== undefined && entry.key === layout.cursor(lane.job, lane.lane)) setCursor(lane, entry);
      }
      const last = page.entries.at(-1);
      if (!page.more || last === undefined) break;
      key = `${last.key}\0`;
    }
  }

  return {
    lanes,
    /** Places every job and begins. */
    async begin(): Promise<void> {
      for (const job of mirror.jobs.keys()) place(job);
      await loadAll();
      if (closed) return;
      open = true;
      for (const lane of lanes.values()) plan(lane);
    },
    /** Jobs that were saved, paused, resumed or deleted. */
    changed(jobs: Iterable<JobId>): void {
      for (const job of jobs) {
        place(job);
        const lane = lanes.get(job);
        if (lane !== undefined) plan(lane);
      }
    },
    /** Who is home where has changed. Of lanes that stay as they are nothing is asked: there may be 100,000 of them. */
    placedAnew(): void {
      for (const job of mirror.jobs.keys()) {
        if (!place(job)) continue;
        const lane = lanes.get(job);
        if (lane !== undefined) plan(lane);
      }
    },
    /** Something of this job has ended. */
    freed(job: JobId): void {
      const lane = lanes.get(job);
      if (lane?.held != null) plan(lane);
    },
    /** After a loss of registration, or of a clock to go by, nothing that was seen is sure. */
    reload(): void {
      for (const lane of lanes.values()) {
        lane.loaded = false;
        plan(lane);
      }
    },
    /** No new claims; settles when every gate that holds claimed runs has been released. */
    async close(): Promise<void> {
      open = false;
      closed = true;
      for (const lane of [...lanes.values()]) {
        lane.cancelWake?.();
        if (lane.gate !== null && !lane.busy) gates.leave(lane);
      }
      await gates.drained();
    },
  };
}
export type Planner = ReturnType<typeof createPlanner>;
