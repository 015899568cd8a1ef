import type { Batcher, PieceResult } from '#core/cluster/batch.ts';
import {
  catchUpAll,
  claimInstant,
  decideWithout,
  type LaneBasis,
  lookAtLane,
  maxOwed,
  readLane,
} from '#core/cluster/claim.ts';
import { oneLane, splitKey } from '#core/cluster/keys.ts';
import { readCursor, readRunning } from '#core/cluster/read-key.ts';
import { type CursorValue, decode, type OrderValue, RunningValue } from '#core/cluster/records.ts';
import { decideLane, decideUnfit, type Stretch, uncovered, type Verdict } from '#core/decide/due.ts';
import { durationMs } from '#core/model/duration.ts';
import { instantText, type JobId, parseJobId, type RunId, runId } from '#core/model/ids.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { type Entry, prefixRange } from '#core/ports/kv.ts';
import { type AgentDeps, type Guard, times } from './context.ts';
import { createGates, type Gate } from './gates.ts';
import type { Intents } from './intents.ts';
import type { Lane } from './lane.ts';
import { leaseGrace } from './lease-grace.ts';
import type { Mirror, MirroredJob } from './mirror.ts';
import type { Place } from './places.ts';
import type { Presence } from './presence.ts';
import type { Room } from './room.ts';
import type { LiveRun, Runs } from './runs.ts';
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
  /** Asks that the living runs of a lane be killed (overlap: replace). */
  replace(job: JobId, running: readonly Entry[]): void;
}

/** Held lanes are asked again after 1, 2, 4 .. 60 s. */
const longestWaitMs = 60_000;
/** How soon it is seen that a cursor which could not be read was mended, or taken away. */
const unreadableWaitMs = 10_000;
const pageSize = 1_000;

/**
 * Decides every instant of the lanes that are this worker's to decide, each once, by the cursor. A lane is at rest, waits at a
 * gate or for a time, or is busy with one transaction; never two of these.
 */
export function createPlanner(deps: PlannerDeps) {
  const {
    kv,
    layout,
    clock,
    settings,
    mirror,
    presence,
    runs,
    starter,
    claims,
    reads,
    intents,
    timeline,
    events,
    guard,
    room,
  } = deps;
  const lanes = new Map<JobId, Lane>();
  const gates = createGates({ ...deps, claim: claimAtGate, lanePlan, later: wake });
  let open = false;
  let closed = false;

  function lanePlan(lane: Lane, instant: number) {
    const job = mirror.jobs.get(lane.job);
    if (job === undefined) return null;
    const running = runningOf(job, instant, { trigger: 'schedule', covers: null });
    return { run: instantRun(lane, instant), spec: job.record.job, running };
  }

  function instantRun(lane: Lane, instant: number): RunId {
    return runId({
      ...parseJobId(lane.job),
      cause: instantText(instant),
      attempt: 1,
      worker: lane.lane === oneLane ? null : lane.lane,
    });
  }

  function runningOf(
    job: MirroredJob,
    instant: number,
    how: { trigger: 'schedule' | 'catch-up'; covers: RunningValue['covers'] },
  ): RunningValue {
    return {
      worker: settings.id,
      incarnation: presence.incarnation() ?? '0',
      state: 'claimed',
      instant,
      attempt: 1,
      losses: 0,
      covers: how.covers,
      notBefore: instant,
      at: clock.now(),
      trigger: how.trigger,
      order: null,
      by: null,
      env: {},
      ...leaseGrace(job.record.job),
    };
  }

  function basisOf(lane: Lane, job: MirroredJob): LaneBasis {
    return { job: lane.job, lane: lane.lane, cursorMod: lane.cursorMod, jobMod: job.mod };
  }

  function verdictOf(lane: Lane, job: MirroredJob, now: number): Verdict {
    // Mode all counts from when this worker came, where it has not decided anything yet.
    const since = presence.since();
    const { floor, createdAt } = job.record;
    const record =
      lane.lane !== oneLane && lane.cursor === null
        ? { ...job.record, floor: Math.max(floor, since), createdAt: Math.max(createdAt, since) }
        : job.record;
    const view = { record, schedule: job.schedule, cursor: lane.cursor, now, held: lane.held };
    return trim(lane.runnable ? decideLane(view) : decideUnfit(view));
  }

  /** Finds out what this lane does next. Cheap; called whenever something about it may have changed. */
  function plan(lane: Lane): void {
    lane.cancelWake?.();
    lane.cancelWake = null;
    if (!open || lane.busy || lanes.get(lane.job) !== lane) return;
    const job = mirror.jobs.get(lane.job);
    const verdict = job === undefined || !lane.loaded ? null : verdictOf(lane, job, clock.now());
    if (job !== undefined && verdict?.do === 'wait' && gates.stands(lane, verdict.at, job.mod)) return;
    gates.leave(lane);
    if (job === undefined) return;
    if (verdict === null) {
      guard('load', load(lane));
      return;
    }
    if (verdict.do === 'rest') return;
    if (verdict.do === 'wait') {
      const { instant, at } = verdict;
      if (
        instant !== null &&
        lane.place === 0 &&
        lane.runnable &&
        gates.enter(lane, instant, leadCap(job, instant))
      )
        return;
      wake(lane, at + (times.deputyDelays[lane.place] ?? 0));
      if (lane.place > 0) lane.loaded = false;
      return;
    }
    guard('act', act(lane, job, verdict));
  }

  /** A claim's lead is never more than half the interval. */
  function leadCap(job: MirroredJob, instant: number): number {
    const next = job.schedule?.next(instant) ?? null;
    return next === null ? Number.POSITIVE_INFINITY : (next - instant) / 2;
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
    else wakeIn(lane, lane.unreadable === null ? times.margin : unreadableWaitMs);
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

  /** Carries out a verdict about what is due already. */
  async function act(
    lane: Lane,
    job: MirroredJob,
    verdict: Exclude<Verdict, { do: 'rest' | 'wait' }>,
  ): Promise<void> {
    if (presence.incarnation() === null) return wakeIn(lane, times.margin);
    if (verdict.do === 'run') {
      if (!room.has()) return starve(lane, verdict.instant);
      await claim(lane, job, verdict, null);
      return;
    }
    lane.busy = true;
    try {
      const owed = verdict.records.map((record) => recordOf(lane, job, record));
      const cursor: CursorValue = {
        instant: verdict.cursor,
        from: settings.id,
        why: verdict.records[0]?.reason ?? verdict.do,
        run: null,
      };
      const decision = { cursor, owed, at: clock.now() };
      const piece =
        verdict.do === 'decide'
          ? decideWithout(layout, basisOf(lane, job), { ...decision, becauseAlive: false })
          : catchUpAll(layout, basisOf(lane, job), { ...decision, ...catchUpOrder(lane, verdict) });
      await decided(lane, cursor, owed, await claims.submit(piece));
    } finally {
      lane.busy = false;
    }
    plan(lane);
  }

  function catchUpOrder(
    lane: Lane,
    { from, to }: { from: number; to: number },
  ): { order: string; value: OrderValue } {
    const worker = lane.lane === oneLane ? null : lane.lane;
    const id = `catch-up.${instantText(to)}`;
    return {
      order: worker === null ? id : `${id}~${worker}`,
      value: {
        kind: 'catch-up',
        from,
        to,
        next: from,
        env: {},
        worker,
        expiresAt: null,
        taken: null,
        done: false,
        by: 'schedule',
        at: clock.now(),
      },
    };
  }

  /** Takes in the answer to a decision without a run; true: it stands. */
  async function decided(
    lane: Lane,
    cursor: CursorValue,
    owed: Run[],
    result: PieceResult,
  ): Promise<boolean> {
    if (result.outcome === 'refused') {
      lane.loaded = false;
      wakeSoon(lane);
      return false;
    }
    if (!result.succeeded) {
      see(lane, readLane(result.results));
      if (lane.cursor !== null && lane.cursor >= cursor.instant) lane.held = null;
      return false;
    }
    lane.cursorMod = result.revision;
    lane.cursor = cursor.instant;
    lane.held = null;
    events.emit({ type: 'job.decided', job: lane.job, instant: cursor.instant, why: cursor.why });
    await runs.owe(owed);
    return true;
  }

  function wakeSoon(lane: Lane): void {
    timeline.in(times.margin, () => plan(lane));
  }

  function starve(lane: Lane, instant: number): void {
    lane.held ??= instant;
    room.wait(lane, () => plan(lane));
    // As time goes by it is not to be run any more, but to be written down.
    wakeIn(lane, longestWaitMs);
  }

  /** A lane's turn at its gate, ahead of the instant. */
  async function claimAtGate(lane: Lane, gate: Gate): Promise<void> {
    const job = mirror.jobs.get(lane.job);
    if (job === undefined || lane.busy) return;
    const verdict = verdictOf(lane, job, Math.max(clock.now(), gate.instant));
    if (verdict.do === 'run' && verdict.instant === gate.instant) return claim(lane, job, verdict, gate);
    gates.leave(lane);
    await timeline.reached(gate.instant);
    plan(lane);
  }

  /** Claims an instant and brings it to its start. */
  async function claim(
    lane: Lane,
    job: MirroredJob,
    verdict: Extract<Verdict, { do: 'run' }>,
    gate: Gate | null,
  ): Promise<void> {
    // At a gate one is taken already, but a gate does not wait for an answer that comes late.
    const freeSlot = room.take();
    try {
      await claimInSlot(lane, job, verdict, gate);
    } finally {
      freeSlot();
    }
  }

  async function claimInSlot(
    lane: Lane,
    job: MirroredJob,
    verdict: Extract<Verdict, { do: 'run' }>,
    gate: Gate | null,
  ): Promise<void> {
    const { instant } = verdict;
    const run = instantRun(lane, instant);
    const running = runningOf(job, instant, verdict);
    const owed = verdict.records.map((record) => recordOf(lane, job, record));
    const cursor: CursorValue = { instant, from: settings.id, why: 'run', run };
    const { overlap } = job.record.job;
    const basis = basisOf(lane, job);
    lane.busy = true;
    let result: PieceResult;
    try {
      result = await claims.submit(
        claimInstant(layout, basis, {
          run,
          overlaps: overlap === 'allow',
          cursor,
          running,
          owed,
        }),
      );
    } finally {
      lane.busy = false;
    }
    const doubtful = () => {
      const moves = { key: layout.cursor(lane.job, lane.lane), mod: basis.cursorMod };
      if (result.doubt) intents.keep({ job: lane.job, lane: lane.lane, run, moves, jobMod: job.mod });
    };
    if (result.outcome === 'refused') {
      doubtful();
      gates.leave(lane);
      lane.loaded = false;
      return wakeSoon(lane);
    }
    if (result.succeeded) {
      lane.cursorMod = result.revision;
      lane.cursor = instant;
      lane.held = null;
      lane.waits = 0;
      return claimed(lane, job, { run, running, mod: result.revision, fence: result.revision, owed, gate });
    }
    const seen = readLane(result.results);
    const key = layout.run(lane.job, lane.lane, run);
    const own = seen.running.find((entry) => entry.key === key);
    if (own !== undefined && holds(own, running)) {
      // The reply to an earlier try was lost: it is mine. A look at the lane may have adopted it meanwhile, which moves mod alone.
      setCursor(lane, seen.cursor);
      lane.held = null;
      return claimed(lane, job, { run, running, mod: own.mod, fence: own.create, owed, gate });
    }
    doubtful();
    const cursorWas = lane.cursorMod;
    see(lane, seen);
    const overlaps = lane.cursorMod === cursorWas && seen.running.length > 0 && overlap !== 'allow';
    if (!overlaps) {
      gates.leave(lane);
      // Decided by another, or the job has changed and the mirror is about to say so.
      if (lane.cursorMod === cursorWas) return wakeSoon(lane);
      lane.held = null;
      return plan(lane);
    }
    await held(lane, job, instant, seen.running);
  }

  function holds(entry: Entry, running: RunningValue): boolean {
    const read = decode(RunningValue, entry);
    return read.ok && read.value.worker === running.worker && read.value.incarnation === running.incarnation;
  }

  /** The last run still lives: an overlap seen before the instant is asked again at it. */
  async function held(
    lane: Lane,
    job: MirroredJob,
    instant: number,
    living: readonly Entry[],
  ): Promise<void> {
    if (clock.now() < instant) {
      gates.leave(lane);
      return wake(lane, instant);
    }
    if (job.record.job.overlap === 'skip') return skipForOverlap(lane, job, instant, living);
    if (job.record.job.overlap === 'replace') deps.replace(lane.job, living);
    lane.held ??= instant;
    lane.waits = Math.min(lane.waits === 0 ? times.margin : lane.waits * 2, longestWaitMs);
    gates.leave(lane);
    wakeIn(lane, lane.waits);
  }

  async function skipForOverlap(
    lane: Lane,
    job: MirroredJob,
    instant: number,
    living: readonly Entry[],
  ): Promise<void> {
    const verdict = verdictOf(lane, job, Math.max(clock.now(), instant));
    if (verdict.do !== 'run') return plan(lane);
    const skipped: Stretch = {
      instant: verdict.instant,
      until: verdict.instant,
      count: 1,
      state: 'skipped',
      reason: `overlap${overlapped(living[0])}`,
    };
    const owed = [...uncovered(verdict), skipped]
      .slice(0, maxOwed)
      .map((record) => recordOf(lane, job, record));
    const cursor: CursorValue = { instant: verdict.instant, from: settings.id, why: 'overlap', run: null };
    gates.leave(lane);
    lane.busy = true;
    try {
      const piece = decideWithout(layout, basisOf(lane, job), {
        cursor,
        owed,
        at: clock.now(),
        becauseAlive: true,
      });
      await decided(lane, cursor, owed, await claims.submit(piece));
    } finally {
      lane.busy = false;
    }
    plan(lane);
  }

  function overlapped(living: Entry | undefined): string {
    if (living === undefined) return '';
    const read = readRunning(layout, living);
    return read.ok ? `: ${read.run} still lives` : `: ${read.key} stands there and can't be read`;
  }

  function claimed(
    lane: Lane,
    job: MirroredJob,
    claim_: { run: RunId; running: RunningValue; mod: string; fence: string; owed: Run[]; gate: Gate | null },
  ): void {
    const { run, running, mod, fence, owed, gate } = claim_;
    if (runs.knows(run)) {
      // A look at the lane was faster than the claim's own answer: it has taken it up, and may even have ended it.
      gates.leave(lane);
      plan(lane);
      return;
    }
    const one: LiveRun = runs.add({
      run,
      job: lane.job,
      lane: lane.lane,
      spec: job.record.job,
      running,
      mod,
      fence,
    });
    events.emit({ type: 'run.claimed', run, fence });
    guard('owe', runs.owe(owed));
    const handed = gate !== null && gates.hand(lane, gate, one);
    if (!handed) gates.leave(lane);
    plan(lane);
    if (!handed) guard('start', starter.startNow(one));
  }

  function recordOf(lane: Lane, job: MirroredJob, { instant, until, count, state, reason }: Stretch): Run {
    const at = clock.now();
    const { group, name, retention } = job.record.job;
    return blankRun({
      id: instantRun(lane, instant),
      group,
      name,
      state,
      reason,
      instant,
      until: count > 1 ? until : null,
      count,
      worker: settings.id,
      plannedAt: instant,
      endedAt: at,
      expireAt: at + durationMs(retention),
    });
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

/** One transaction owes at most so many records: the rest waits for the next, from where this one ends. */
function trim(verdict: Verdict): Verdict {
  if (verdict.do === 'rest' || verdict.do === 'wait' || verdict.records.length < maxOwed) return verdict;
  const records = verdict.records.slice(0, maxOwed - 1);
  const last = records.at(-1);
  return last === undefined ? verdict : { do: 'decide', cursor: last.until, records };
}
