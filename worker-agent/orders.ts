import type { Batcher } from '#core/cluster/batch.ts';
import { claimOrder, settleOrder } from '#core/cluster/claim.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { decode, type OrderValue, RunningValue } from '#core/cluster/records.ts';
import { mayNotStart } from '#core/decide/may-start.ts';
import { fits } from '#core/decide/placement.ts';
import { durationMs } from '#core/model/duration.ts';
import { instantText, type JobId, parseJobId, type RunId, runId } from '#core/model/ids.ts';
import { blankRun, type Run, type Trigger } from '#core/model/run.ts';
import type { Entry } from '#core/ports/kv.ts';
import { type AgentDeps, type Guard, times } from './context.ts';
import type { Intents } from './intents.ts';
import { leaseGrace } from './lease-grace.ts';
import type { Mirror, MirroredOrder } from './mirror.ts';
import type { Presence } from './presence.ts';
import type { Room } from './room.ts';
import type { Runs } from './runs.ts';
import type { Starter } from './starter.ts';
import type { Timeline } from './timeline.ts';

interface Pending {
  key: string;
  busy: boolean;
  /** How long the next wait is, ms; 0: none yet. */
  waits: number;
  /** The order and the job (by mod revision) for which a claim that was refused is watched over. */
  watched: string;
  cancelWake: (() => void) | null;
}

const longestWaitMs = 60_000;
const triggers: Record<OrderValue['kind'], Trigger> = {
  run: 'manual',
  backfill: 'backfill',
  'catch-up': 'catch-up',
};

/** Runs that were asked for: by hand, by backfill, and the backlog that catchUp `all` hands over. */
export function createOrders(
  deps: AgentDeps & {
    mirror: Mirror;
    presence: Presence;
    runs: Runs;
    starter: Starter;
    claims: Batcher;
    intents: Intents;
    timeline: Timeline;
    guard: Guard;
    room: Room;
    /** This worker's place for a job, whether or not the job is still there; null: not its business. */
    placeOf(job: JobId): number | null;
    replace(job: JobId, running: readonly Entry[]): void;
  },
) {
  const { clock, layout, settings, mirror, presence, runs, starter, claims, intents, timeline, room } = deps;
  const pending = new Map<string, Pending>();
  /**
   * Jobs of whose lane an order is being asked for. One request holds one transaction of a job: a hundred orders that all asked for the
   * one place that has become free would hold up the job's own instants for seconds.
   */
  const asking = new Set<JobId>();
  let open = false;

  function consider(order: MirroredOrder): void {
    const key = layout.order(order.job, order.id);
    const known = pending.get(key);
    if (!open || known?.busy) return;
    const place =
      order.value.worker === settings.id ? 0 : order.value.worker === null ? deps.placeOf(order.job) : null;
    if (order.value.done || place === null) {
      known?.cancelWake?.();
      pending.delete(key);
      return;
    }
    const one: Pending = known ?? { key, busy: false, waits: 0, watched: '', cancelWake: null };
    pending.set(key, one);
    wake(one, order.value.at + (times.deputyDelays[place] ?? 0));
  }

  function wake(one: Pending, at: number): void {
    one.cancelWake?.();
    one.cancelWake = timeline.at(at, () => deps.guard('order', attempt(one)));
  }

  function wakeIn(one: Pending, ms: number): void {
    one.cancelWake?.();
    one.cancelWake = timeline.in(Math.max(0, ms), () => deps.guard('order', attempt(one)));
  }

  /** Nothing is to be done soon, but perhaps to be written down. */
  function wakeLate(one: Pending, { value }: MirroredOrder): void {
    wakeIn(one, Math.min(longestWaitMs, (value.expiresAt ?? Number.POSITIVE_INFINITY) - clock.now()));
  }

  async function attempt(one: Pending): Promise<void> {
    const order = mirror.orders.get(one.key);
    if (!open || one.busy || order === undefined || order.value.done) return;
    one.busy = true;
    try {
      await pursue(one, order);
    } finally {
      one.busy = false;
    }
    // What the mirror told meanwhile was not considered.
    const now = mirror.orders.get(one.key);
    if (now !== undefined && now.mod !== order.mod) consider(now);
  }

  async function pursue(one: Pending, order: MirroredOrder): Promise<void> {
    const { value } = order;
    const now = clock.now();
    if (presence.incarnation() === null) return wakeIn(one, times.margin);
    if (value.expiresAt !== null && now >= value.expiresAt) return settle(order, 'missed', 'expired');
    const job = mirror.jobs.get(order.job);
    const why = mayNotStart(job?.record ?? null, now, triggers[value.kind]);
    if (why === 'paused') return wakeIn(one, longestWaitMs);
    if (job === undefined || why !== null) return settle(order, 'cancelled', why ?? 'deleted');
    // A save that changed what is due, or a pause, came after the backlog was handed over: none of it is due any more.
    const { floor, floorWhy } = job.record;
    if (value.kind === 'catch-up' && value.next !== null && value.next <= floor)
      return settle(order, 'skipped', floorWhy === 'created' ? 'edited' : floorWhy);
    // Who keeps the books of a job that nobody fits does not run it: it waits for somebody who does, or expires.
    if (!fits(job.record.job, settings)) return wakeLate(one, order);
    if (!room.mayStart()) {
      room.wait(one, () => deps.guard('order', attempt(one)));
      return wakeLate(one, order);
    }
    const oneAtATime = job.record.job.overlap !== 'allow';
    if (oneAtATime && asking.has(order.job)) return wakeIn(one, times.margin);
    if (oneAtATime) asking.add(order.job);
    const freeSlot = room.takeTurn();
    try {
      await claim(one, order);
    } finally {
      freeSlot();
      if (oneAtATime) asking.delete(order.job);
    }
  }

  /**
   * Where the run goes and what it is called: as it was ordered, whatever its job's mode is by now. Two orders that were one for each worker
   * would else be one run.
   */
  function runOf(order: MirroredOrder): { run: RunId; instant: number | null; lane: string } {
    const [id = order.id, lane = oneLane] = order.id.split('~');
    const instant = order.value.kind === 'run' ? null : order.value.next;
    const at = instant === null ? '' : instantText(instant);
    const cause = { run: id, backfill: `${id}.${at}`, 'catch-up': at }[order.value.kind];
    return {
      run: runId({ ...parseJobId(order.job), cause, attempt: 1, worker: lane === oneLane ? null : lane }),
      instant,
      lane,
    };
  }

  async function claim(one: Pending, order: MirroredOrder): Promise<void> {
    const { value } = order;
    const job = mirror.jobs.get(order.job);
    const incarnation = presence.incarnation();
    if (job === undefined || incarnation === null) return;
    const spec = job.record.job;
    const { run, instant, lane } = runOf(order);
    const at = clock.now();
    const running: RunningValue = {
      worker: settings.id,
      incarnation,
      state: 'claimed',
      instant,
      attempt: 1,
      losses: 0,
      covers: null,
      notBefore: instant ?? value.at,
      at,
      trigger: triggers[value.kind],
      order: order.id,
      by: value.by,
      env: value.env,
      ...leaseGrace(spec),
    };
    let next = instant === null ? null : (job.schedule?.next(instant) ?? null);
    while (next !== null && value.kind === 'catch-up' && job.record.skips.includes(next))
      next = job.schedule?.next(next) ?? null;
    const following = next !== null && value.to !== null && next <= value.to ? next : null;
    const result = await claims.submit(
      claimOrder(
        layout,
        { job: order.job, lane, order: order.id, orderMod: order.mod, jobMod: job.mod },
        {
          run,
          overlaps: spec.overlap === 'allow',
          running,
          order: {
            ...{ ...value, taken: { run, at }, next: following, done: following === null },
            ...(value.left === undefined ? {} : { left: value.left - 1 }),
          },
        },
      ),
    );
    // Also where nothing was in doubt: a network may have delivered the request twice, and the second commits when the lane is free.
    const watchOver = () => {
      const versions = `${order.mod} ${job.mod}`;
      if (one.watched === versions) return;
      one.watched = versions;
      const moves = { key: one.key, mod: order.mod };
      intents.keep({ job: order.job, lane, run, moves, jobMod: job.mod });
    };
    if (result.outcome === 'refused') {
      watchOver();
      return wakeIn(one, times.margin);
    }
    let mod = result.revision;
    let fence = result.revision;
    if (!result.succeeded) {
      const [seen, lived, made] = result.results;
      const living = lived?.type === 'range' ? lived.entries : [];
      const own = made?.type === 'range' ? made.entries[0] : undefined;
      const read = own === undefined ? null : decode(RunningValue, own);
      const mine =
        read?.ok === true && read.value.worker === settings.id && read.value.incarnation === incarnation;
      if (own === undefined || !mine || runs.knows(run)) {
        watchOver();
        const standing = seen?.type === 'range' ? seen.entries[0] : undefined;
        return refused(
          one,
          standing?.mod === order.mod ? living : [],
          spec.overlap === 'replace' ? order.job : null,
        );
      }
      mod = own.mod;
      fence = own.create;
    }
    one.waits = 0;
    // A look at the lane was faster than the claim's own answer: it has taken it up, and may even have ended it.
    if (runs.knows(run)) return;
    const live = runs.add({ run, job: order.job, lane, spec, running, mod, fence });
    deps.events.emit({ type: 'run.claimed', run, fence });
    deps.guard('start', starter.startNow(live));
  }

  /** The lane is taken, or the mirror is behind: asked again after 1, 2, 4 .. 60 s, or when the lane is freed. */
  function refused(one: Pending, living: readonly Entry[], replaces: JobId | null): void {
    if (living.length > 0 && replaces !== null) deps.replace(replaces, living);
    one.waits =
      living.length === 0
        ? times.margin
        : Math.min(one.waits === 0 ? times.margin : one.waits * 2, longestWaitMs);
    wakeIn(one, one.waits);
  }

  /** Ends an order that will not run (any more), with its record. */
  async function settle(
    order: MirroredOrder,
    state: 'missed' | 'cancelled' | 'skipped',
    reason: string,
  ): Promise<void> {
    const { value, job } = order;
    const spec = mirror.jobs.get(job)?.record.job ?? null;
    const { run, instant } = runOf(order);
    const at = clock.now();
    const record: Run = blankRun({
      ...parseJobId(job),
      id: run,
      state,
      reason,
      instant,
      until: value.to !== null && value.to !== instant ? value.to : null,
      count: value.left ?? 1,
      trigger: triggers[value.kind],
      worker: settings.id,
      plannedAt: instant ?? value.at,
      endedAt: at,
      by: value.by,
      expireAt: at + durationMs(spec?.retention ?? '30d'),
    });
    const basis = { job, order: order.id, orderMod: order.mod };
    const piece = settleOrder(layout, basis, {
      order: { ...value, next: null, done: true },
      owed: [record],
      at,
      by: settings.id,
    });
    const result = await claims.submit(piece);
    if (result.outcome === 'done' && result.succeeded) await runs.owe([record]);
  }

  return {
    consider,
    begin(): void {
      open = true;
      for (const order of mirror.orders.values()) consider(order);
    },
    /** Something about these jobs has changed, or a run of theirs has ended: their orders may go on. */
    review(jobs: ReadonlySet<JobId>): void {
      for (const order of mirror.orders.values()) if (jobs.has(order.job)) consider(order);
    },
    close(): void {
      open = false;
    },
  };
}
export type Orders = ReturnType<typeof createOrders>;
