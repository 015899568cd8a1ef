import { barredBy } from '#core/decide/may-start.ts';
import { instantText, type RunId } from '#core/model/ids.ts';
import type { Revision } from '#core/ports/kv.ts';
import { times } from './context.ts';
import type { Lane } from './lane.ts';
import type { PlannerDeps } from './planner.ts';
import type { LiveRun } from './runs.ts';

/**
 * One instant and every lane of mine that is due at it. Its wrappers are armed ahead and blocked on one pipe, which is
 * closed at the instant. Lanes come until the claims go out.
 *
 *   waiting -> arming -> claiming -> released, or dropped where nothing could be let go
 */
export interface Gate {
  instant: number;
  key: string;
  lanes: Set<Lane>;
  /** Those of them for which nothing has been armed yet. */
  fresh: Set<Lane>;
  /** Those whose user is being looked up: they are fresh again when that is known. */
  asked: Set<Lane>;
  phase: 'waiting' | 'arming' | 'claiming' | 'released' | 'dropped';
  /** What stands armed for a lane, and the version of the job it was armed for. */
  armed: Map<Lane, { run: RunId; jobMod: Revision; freeSlot: () => void }>;
  claimed: Set<LiveRun>;
  marks: Promise<void>[];
  leadCapMs: number;
  /** Says to who waits for the claims that another lane has come. */
  joined: () => void;
  wakeAt: number;
  cancelWake: (() => void) | null;
}

interface GatesDeps extends PlannerDeps {
  /** Claims a lane's instant; settles when its answer has been dealt with. */
  claim(lane: Lane, gate: Gate): Promise<void>;
  /** What would run in this lane at the instant. */
  lanePlan(lane: Lane, instant: number): Pick<LiveRun, 'run' | 'spec' | 'running'> | null;
  /** This lane could not stay at its gate: it decides for itself at the instant. */
  later(lane: Lane, instant: number): void;
}

/** Arming begins so early: a second, and for a burst as much more as it is expected to take, with some room. */
const armAheadMs = 1_000;
const armRoom = 1.5;
/** So many are armed at a time: between them it is seen whether there is time for more. */
const atOnce = 10;
const longestArmAheadMs = 30_000;
/** A burst's claims and markers take time, too. */
const leadPerRunMs = 0.5;
const longestLeadMs = 2_000;

export function createGates(deps: GatesDeps) {
  const { clock, timeline, runner, runs, starter, presence, mirror, room, pace } = deps;
  const gates = new Map<number, Gate>();
  const running = new Set<Promise<void>>();
  let closing = false;
  let close: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });

  /** Puts a lane at the gate of its next instant; false: too late for that, it decides for itself at the instant. */
  function enter(lane: Lane, instant: number, leadCapMs: number): boolean {
    if (closing || instant <= clock.now()) return false;
    const gate = gates.get(instant) ?? open(instant, leadCapMs);
    // While others are being armed it may join them. Without this, jobs of every second that once were late would stay so: at their late
    // start the next instant is being armed already.
    if (gate.phase !== 'waiting' && (gate.phase !== 'arming' || clock.now() >= claimAt(gate))) return false;
    gate.lanes.add(lane);
    gate.fresh.add(lane);
    gate.leadCapMs = Math.min(gate.leadCapMs, leadCapMs);
    lane.gate = gate;
    if (gate.phase === 'waiting') wakeInTime(gate);
    else gate.joined();
    return true;
  }

  function open(instant: number, leadCapMs: number): Gate {
    const gate: Gate = {
      ...{ instant, leadCapMs, key: instantText(instant), phase: 'waiting' },
      ...{
        lanes: new Set(),
        fresh: new Set(),
        asked: new Set(),
        armed: new Map(),
        claimed: new Set(),
        marks: [],
      },
      ...{ joined() {}, wakeAt: Number.POSITIVE_INFINITY, cancelWake: null },
    };
    gates.set(instant, gate);
    return gate;
  }

  function wakeInTime(gate: Gate): void {
    const armMs = gate.lanes.size * pace.perRunMs() * armRoom;
    const wakeAt = gate.instant - Math.min(armAheadMs + armMs, longestArmAheadMs);
    // Moving the waking for every lane would fill the timeline: by a tenth of a second is near enough.
    if (wakeAt >= gate.wakeAt - 100 && gate.wakeAt !== Number.POSITIVE_INFINITY) return;
    gate.cancelWake?.();
    gate.wakeAt = wakeAt;
    gate.cancelWake = timeline.at(wakeAt, () => begin(gate));
  }

  function claimAt({ instant, lanes, leadCapMs }: Gate): number {
    return instant - Math.floor(Math.min(times.lead + lanes.size * leadPerRunMs, leadCapMs, longestLeadMs));
  }

  /** Takes a lane from its gate; what was armed for it is un-armed. */
  function leave(lane: Lane): void {
    const { gate } = lane;
    if (gate === null) return;
    lane.gate = null;
    gate.lanes.delete(lane);
    gate.fresh.delete(lane);
    gate.asked.delete(lane);
    const armed = gate.armed.get(lane);
    if (armed !== undefined) unarm(gate, lane, armed);
    if (gate.lanes.size > 0 || gate.phase !== 'waiting') return;
    gate.cancelWake?.();
    gates.delete(gate.instant);
  }

  function unarm(gate: Gate, lane: Lane, { run, freeSlot }: { run: RunId; freeSlot: () => void }): void {
    gate.armed.delete(lane);
    freeSlot();
    // Once the gate is released its wrapper ends by itself: it has no marker.
    if (gate.phase !== 'released') deps.guard('disarm', runner.disarm(run));
  }

  function begin(gate: Gate): void {
    if (closing || gate.phase !== 'waiting' || gates.get(gate.instant) !== gate) return;
    const done = pass(gate).finally(() => running.delete(done));
    running.add(done);
  }

  /** One instant, from arming to release. */
  async function pass(gate: Gate): Promise<void> {
    gate.phase = 'arming';
    while (await comes(gate)) await arm(gate, first(gate.fresh, atOnce));
    gate.phase = 'claiming';
    // For these there was no time: their claims don't hold up the others'.
    for (const lane of [...gate.fresh, ...gate.asked]) {
      leave(lane);
      deps.later(lane, gate.instant);
    }
    if (!closing) for (const lane of [...gate.lanes]) deps.guard('claim', deps.claim(lane, gate));
    else for (const lane of [...gate.lanes]) leave(lane);
    if (!closing || gate.claimed.size > 0) await timeline.reached(gate.instant);
    await release(gate);
    gates.delete(gate.instant);
    for (const lane of [...gate.lanes]) leave(lane);
  }

  /**
   * Whether there is somebody to be armed before it is time to claim: nobody's claim waits for who came late. What is late already goes
   * before: armed ahead of it, those who are in time would be so for ever, and the others never.
   */
  async function comes(gate: Gate): Promise<boolean> {
    const joined = new Promise<void>((resolve) => {
      gate.joined = resolve;
    });
    const over = () => Promise.race([timeline.reached(claimAt(gate)), closed]);
    if (gate.fresh.size === 0) await Promise.race([over(), joined]);
    if (room.isPressed()) await Promise.race([over(), room.relieved()]);
    return gate.fresh.size > 0 && !closing && clock.now() < claimAt(gate);
  }

  /** A lane whose user is to be looked up comes back when that is known: nobody else waits for it. */
  function waits(gate: Gate, lane: Lane): boolean {
    const known = runner.lookUp(mirror.jobs.get(lane.job)?.record.job.user ?? null);
    if (known === null) return false;
    gate.asked.add(lane);
    const back = () => {
      if (!gate.asked.delete(lane)) return;
      gate.fresh.add(lane);
      gate.joined();
    };
    deps.guard('lookUp', known.then(back));
    return true;
  }

  async function arm(gate: Gate, lanes: readonly Lane[]): Promise<void> {
    const plans = [];
    const wanted = new Map<RunId, Lane>();
    for (const lane of lanes) {
      gate.fresh.delete(lane);
      if (waits(gate, lane)) continue;
      const plan = deps.lanePlan(lane, gate.instant);
      if (plan === null || !room.has()) {
        leave(lane);
        deps.later(lane, gate.instant);
        continue;
      }
      const jobMod = mirror.jobs.get(lane.job)?.mod ?? '0';
      gate.armed.set(lane, { run: plan.run, jobMod, freeSlot: room.take() });
      wanted.set(plan.run, lane);
      plans.push(runs.planOf({ ...plan, lane: lane.lane }, gate.key));
    }
    const began = clock.boot();
    const results = await runner.arm(plans);
    pace.note(plans.length, clock.boot() - began);
    for (const [run, refused] of results) {
      const lane = wanted.get(run);
      if (lane === undefined) continue;
      // Who left while it was being armed is un-armed behind that (in-order.ts).
      const armed = gate.armed.get(lane);
      if (armed?.run !== run) continue;
      if (refused === null) deps.events.emit({ type: 'run.armed', run });
      else {
        // It is claimed all the same: the start by itself says in the ledger why it can't be.
        gate.armed.delete(lane);
        armed.freeSlot();
      }
    }
  }

  async function release(gate: Gate): Promise<void> {
    await Promise.all(gate.marks);
    // The clock may have been set back meanwhile: never early by it.
    if (gate.claimed.size > 0) await timeline.reached(gate.instant);
    const now = clock.now();
    const stopped = [...gate.claimed].filter((one) =>
      barredBy(mirror.jobs.get(one.job)?.record ?? null, now, one.running),
    );
    await Promise.all(stopped.map((one) => starter.barred(one)));
    const incarnation = presence.incarnation();
    const whole =
      incarnation !== null &&
      [...gate.claimed].every(({ running: { incarnation: own } }) => own === incarnation);
    // Without the lease nothing is released: these runs start by themselves when it is sure again, or are closed by others. Unsure for a
    // moment only (a clock that jumped ahead and back), nobody else notices that it is.
    if (whole && gate.claimed.size > 0) {
      await runner.release(gate.key, presence.deadlineBoot());
      gate.phase = 'released';
    } else {
      for (const one of gate.claimed) starter.putBack(one);
      // Whoever still stands armed here is un-armed: no pipe is going to wake it.
      gate.phase = 'dropped';
    }
  }

  return {
    enter,
    leave,
    /** Whether the lane stands at this instant's gate for this version of its job, and may stay. */
    stands(lane: Lane, instant: number, jobMod: Revision): boolean {
      if (lane.gate?.instant !== instant) return false;
      return (
        lane.gate.fresh.has(lane) || lane.gate.asked.has(lane) || lane.gate.armed.get(lane)?.jobMod === jobMod
      );
    },
    /** Hands a claimed run over to its gate, which marks and releases it; false: it must start by itself. */
    hand(lane: Lane, gate: Gate, one: LiveRun): boolean {
      const armed = gate.armed.get(lane);
      if (gate.phase !== 'claiming' || armed?.run !== one.run) return false;
      gate.armed.delete(lane);
      armed.freeSlot();
      gate.lanes.delete(lane);
      lane.gate = null;
      gate.claimed.add(one);
      one.inHand = true;
      gate.marks.push(starter.mark(one));
      return true;
    },
    /** Enters no more, drops what has not claimed, and settles when the rest is released. */
    async drained(): Promise<void> {
      closing = true;
      close();
      for (const gate of [...gates.values()])
        if (gate.phase === 'waiting') for (const lane of [...gate.lanes]) leave(lane);
      await Promise.all(running);
    },
  };
}
export type Gates = ReturnType<typeof createGates>;

function first<T>(all: Iterable<T>, count: number): T[] {
  const some: T[] = [];
  for (const one of all) if (some.push(one) === count) break;
  return some;
}
