import { batcher } from '#core/cluster/batch.ts';
import { stillMe, stillRegistered } from '#core/cluster/registration.ts';
import type { JobId, RunId } from '#core/model/ids.ts';
import { sleep } from '#core/ports/clock.ts';
import type { Entry } from '#core/ports/kv.ts';
import { createAdoption } from './adoption.ts';
import { alertingLedger } from './alerting-ledger.ts';
import { createArmingPace } from './arming-pace.ts';
import { type AgentDeps, times } from './context.ts';
import type { AgentFigures } from './figures.ts';
import { createFullness } from './fullness.ts';
import { inOrder } from './in-order.ts';
import { createIntents } from './intents.ts';
import { createKeeper } from './keeper.ts';
import { createMirror } from './mirror.ts';
import { createOrders } from './orders.ts';
import { createOwnClock } from './own-clock.ts';
import { patientReads } from './patient-reads.ts';
import { createPlaces } from './places.ts';
import { createPlanner } from './planner.ts';
import { createPresence } from './presence.ts';
import { tellingOfRefusals } from './refusing-store.ts';
import { replacing } from './replacing.ts';
import { createRetries } from './retries.ts';
import { createRoom } from './room.ts';
import { createRuns } from './runs.ts';
import { createStarter } from './starter.ts';
import { timeline as createTimeline } from './timeline.ts';

/** A request that ended unknown or was not taken is sent again after 50, 100 .. 1,600 ms. */
const firstRepeatMs = 50;
const longestRepeatMs = 1_600;
/** Beat of the load figures. */
const reportEvery = 5_000;

/**
 * One host's agent: finds out which instants are its to decide, claims them, has them run, and sees each to its
 * record. `run` settles after `stop`, with living jobs left alive for the next start to adopt.
 */
export function createAgent(given: AgentDeps) {
  const deps = {
    ...given,
    kv: tellingOfRefusals(given.kv, given),
    runner: inOrder(given.runner),
    ledger: alertingLedger(given.ledger, (job) => mirror.jobs.get(job)?.record.job ?? null),
  };
  const { settings, layout, clock, events, runner } = deps;
  const ending = new AbortController();
  const timeline = createTimeline(clock);
  const kv = patientReads(deps.kv, again);
  const mirror = createMirror(deps);
  const ownClock = createOwnClock({ ...deps, worker: settings.id });
  const places = createPlaces({ ...deps, mirror, ownClock });
  const presence = createPresence({
    ...deps,
    trusted: () => !ownClock.isOff(),
    now: () => ({ clockSkewMs: ownClock.told(), full: fullness.isFull() }),
  });
  /** Jobs in which something has ended since the last turn: their orders are asked once for all. */
  const freed = new Set<JobId>();

  async function again(attempt: number): Promise<boolean> {
    await sleep(
      clock,
      Math.min(firstRepeatMs * 2 ** (attempt - 1), longestRepeatMs) * (0.5 + deps.ids.chance()),
      ending.signal,
    );
    return !ending.signal.aborted;
  }
  const under = (compare: typeof stillMe) => () => {
    const incarnation = presence.incarnation();
    return incarnation === null ? null : compare(layout, settings.id, incarnation);
  };
  const packing = given.batcher ?? batcher;
  const claims = packing({ kv, outer: under(stillMe), under: presence.incarnation, again });
  const finishes = packing({
    ...{ kv, outer: () => [], again },
    gather: (enough) => sleep(clock, times.gather, AbortSignal.any([enough, ending.signal])),
  });
  const reads = packing({ kv, outer: () => [], again });
  const keeps = packing({ kv, outer: under(stillRegistered), under: presence.incarnation, again });

  const runs = createRuns({ ...deps, guard }, finishes, {
    freed(job) {
      freed.add(job);
      planner.freed(job);
      room.freed();
      timeline.in(0, () => {
        if (freed.size === 0) return;
        orders.review(new Set(freed));
        freed.clear();
      });
    },
    waits: (one) => retries.schedule(one),
  });
  const pace = createArmingPace();
  const room = createRoom({
    ...{ ...deps, runs, timeline, pace },
    starting: () => starter.underWay(),
    starving: () => fullness.starving(),
  });
  const fullness = createFullness({ clock, hasRoom: room.has, tell });
  const starter = createStarter({
    ...{ ...deps, guard, mirror, presence, runs, timeline, pace },
    through: () => room.freed(),
  });
  const found = (entry: Entry) => guard('found', adoption.found(entry));
  const intents = createIntents({ ...deps, reads, timeline, guard, runs, found });
  const shared = {
    ...deps,
    kv,
    guard,
    mirror,
    presence,
    runs,
    starter,
    claims,
    reads,
    timeline,
    intents,
    found,
    replace: replacing({ ...deps, mirror, keeps, guard }),
    room,
    pace,
  };
  const planner = createPlanner({ ...shared, placeOf: (job) => places.of(job) });
  const retries = createRetries(shared);
  const orders = createOrders({ ...shared, placeOf: (job) => places.ofOrder(job) });
  const keeper = createKeeper({ ...shared, keeps });
  const adoption = createAdoption({ ...shared, keeper, keeps, again });

  /** An expected end of what runs in the background; anything else must be seen. */
  function guard(where: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!ending.signal.aborted) events.emit({ type: 'agent.fault', worker: settings.id, where, error });
    });
  }

  /** The registration says what has changed. */
  function tell(): void {
    guard('tell', presence.rewrite(ending.signal));
  }

  function killsAsked(asked: readonly RunId[]): void {
    for (const run of asked) {
      const one = runs.live.get(run);
      const request = mirror.kills.get(run);
      if (one !== undefined && request !== undefined) runs.kill(one, request.value);
    }
    retries.review(null, new Set(asked));
  }

  /** Who is home where, seen anew. */
  function rerank(): void {
    places.lookAround();
    planner.placedAnew();
    orders.review(new Set([...mirror.orders.values()].map(({ job }) => job)));
  }

  let quiet: (() => void) | null = null;
  function membership(died: { id: string; incarnation: string }[], stop: AbortSignal): void {
    for (const one of died) if (one.id !== settings.id) guard('bury', keeper.bury(one.id, stop));
    quiet?.();
    if (died.length > 0) rerank();
    else quiet = timeline.in(times.membershipQuiet, rerank);
  }

  /**
   * The lease is sure again, and every run adopted, or the clock is right again: what was claimed starts if in time, and every lane is
   * looked at anew.
   */
  function reborn(): void {
    for (const one of [...runs.live.values()])
      if (one.phase === 'claimed') guard('resume', starter.resume(one));
    planner.reload();
  }

  const clockTurns = {
    tell,
    off: rerank,
    right() {
      rerank();
      reborn();
    },
    tired(skewMs: number) {
      const reason = `claimed, and not started while its worker's clock was ${skewMs} ms off`;
      for (const one of [...runs.live.values()])
        if (one.phase === 'claimed') guard('giveUp', starter.giveUp(one, reason));
    },
  };

  function report(left: boolean): void {
    deps.report({
      id: settings.id,
      at: clock.now(),
      running: runs.count(),
      revision: mirror.revision(),
      cpu: 0,
      memory: 0,
      clockSkewMs: ownClock.skewMs(),
      spool: deps.ledger.fullness(),
      spoolEmptyAt: deps.ledger.emptyAt(),
      left,
    });
  }

  async function beat(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      report(false);
      await sleep(clock, reportEvery, stop);
    }
  }

  /** From a listed mirror to work: adopts first, then decides. */
  async function begin(stop: AbortSignal, until: AbortSignal): Promise<void> {
    places.lookAround();
    const adopted = await adoption.adoptAll();
    const incarnation = presence.lastIncarnation() ?? '0';
    events.emit({ type: 'agent.registered', worker: settings.id, incarnation, adopted });
    if (!stop.aborted) await planner.begin();
    if (stop.aborted) return;
    retries.begin();
    orders.begin();
    killsAsked([...mirror.kills.keys()]);
    events.emit({ type: 'agent.ready', worker: settings.id, jobs: mirror.jobs.size });
    guard('keeper', keeper.run(until));
    guard('beat', beat(until));
  }

  return {
    runs,
    mirror,
    /** What of it only it knows itself. */
    figures(): Omit<AgentFigures, 'living' | 'spool'> {
      return {
        capacity: settings.capacity,
        jobs: mirror.jobs.size,
        revision: mirror.revision(),
        mayClaim: presence.incarnation() !== null,
        leaseLeftMs: presence.leftMs(),
        draining: mirror.drains.has(settings.id),
      };
    },
    async run(stop: AbortSignal): Promise<void> {
      const processes = await runner.adopt({
        started(run, at) {
          const one = runs.live.get(run);
          if (one !== undefined) runs.started(one, at);
        },
        ended(run, end) {
          const one = runs.live.get(run);
          if (one !== undefined) guard('ended', adoption.ended(one, end));
          else if (!adoption.endedBefore(run, end) && end.how === 'not_started')
            // Let go with its gate before the answer to its claim was there, which was a no: of this one nothing is left to be told.
            guard('forget', runner.forget(run));
        },
      });
      adoption.know(processes);
      await ownClock.begin();
      await presence.enter(stop);
      if (stop.aborted) return await presence.leave(adoption.unmatched());
      const until = AbortSignal.any([stop, ending.signal]);
      const listed = Promise.withResolvers<void>();
      const following = mirror.run(
        until,
        {
          jobs(ids) {
            planner.changed(ids);
            const changed = new Set(ids);
            retries.review(changed, null);
            orders.review(changed);
          },
          orders: (changed) => changed.forEach(orders.consider),
          kills: killsAsked,
          workers: (died) => membership(died, until),
        },
        listed.resolve,
      );
      const renewing = presence.run(ending.signal, { adopt: () => adoption.adoptAll(), reborn });
      const glancing = ownClock.run(ending.signal, clockTurns);
      const failed = Promise.all([following, renewing, glancing]).then(() => {});
      await Promise.race([listed.promise, failed, aborted(stop)]);
      if (!stop.aborted) {
        const beginning = begin(stop, until);
        // A stop does not wait for a beginning that waits for the store.
        await Promise.race([beginning.then(() => failed), failed, aborted(stop)]);
        guard('begin', beginning);
      }
      retries.close();
      orders.close();
      fullness.close();
      await planner.close();
      const settled = new AbortController();
      const waited = sleep(clock, times.stopWait, settled.signal);
      // What is being claimed at this moment may become a run of ours, with which we do not just go.
      await Promise.race([claims.idle().then(() => sleep(clock, 0)), waited]);
      await runner.stop();
      await Promise.race([runs.settled(), waited]);
      settled.abort();
      // A stop in the middle of the start leaves some that are not adopted yet.
      const living = runs.live.size + runs.waiting.size + adoption.unmatched();
      await presence.leave(living);
      // The last word: who is gone after this has not died.
      report(true);
      ending.abort();
      timeline.stop();
      await failed;
      events.emit({ type: 'agent.stopped', worker: settings.id, living });
    },
  };
}
export type Agent = ReturnType<typeof createAgent>;

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
