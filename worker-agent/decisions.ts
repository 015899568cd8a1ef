import type { PieceResult } from '#core/cluster/batch.ts';
import { catchUpAll, claimInstant, decideWithout, maxOwed, readLane } from '#core/cluster/claim.ts';
import { readRunning } from '#core/cluster/read-key.ts';
import { type CursorValue, decode, RunningValue } from '#core/cluster/records.ts';
import { type Stretch, uncovered, type Verdict } from '#core/decide/due.ts';
import type { RunId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';
import type { Entry } from '#core/ports/kv.ts';
import { times } from './context.ts';
import type { Gate, Gates } from './gates.ts';
import type { Lane } from './lane.ts';
import type { LaneValues } from './lane-values.ts';
import type { MirroredJob } from './mirror.ts';
import type { PlannerDeps } from './planner.ts';
import type { LiveRun } from './runs.ts';

/** Held lanes are asked again after 1, 2, 4 .. 60 s. */
const longestWaitMs = 60_000;

interface DecisionsDeps extends PlannerDeps {
  values: LaneValues;
  gates: Gates;
  /** Finds out what the lane does next. */
  plan(lane: Lane): void;
  /** Has it planned at that time, or in so many ms, instead of whatever it waits for. */
  wake(lane: Lane, at: number): void;
  wakeIn(lane: Lane, ms: number): void;
  /** Takes in what a look or a refusal has shown: of the cursor alone, of all. */
  setCursor(lane: Lane, entry: Entry | null): void;
  see(lane: Lane, seen: { cursor: Entry | null; running: Entry[] }): void;
}

/** Carries verdicts out: one transaction of a lane at a time, and what its answer means. */
export function createDecisions(deps: DecisionsDeps) {
  const { layout, clock, settings, mirror, presence, runs, starter, claims } = deps;
  const { intents, timeline, events, guard, room } = deps;
  const { gates, plan, wake, wakeIn, setCursor, see } = deps;
  const { instantRun, runningOf, basisOf, verdictOf, catchUpOrder, recordOf } = deps.values;

  /** Carries out a verdict about what is due already. */
  async function act(
    lane: Lane,
    job: MirroredJob,
    verdict: Exclude<Verdict, { do: 'rest' | 'wait' }>,
  ): Promise<void> {
    if (presence.incarnation() === null) return wakeIn(lane, times.margin);
    if (verdict.do === 'run') {
      if (!room.mayStart()) return starve(lane, verdict.instant);
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
          : catchUpAll(layout, basisOf(lane, job), { ...decision, ...catchUpOrder(lane, job, verdict) });
      await decided(lane, cursor, owed, await claims.submit(piece));
    } finally {
      lane.busy = false;
    }
    plan(lane);
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
    const freeSlot = gate === null ? room.takeTurn() : room.take();
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
    const { own } = seen;
    if (own !== null && holds(own, running)) {
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

  return { act, claimAtGate };
}
