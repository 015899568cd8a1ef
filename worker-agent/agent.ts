import { batcher, type Piece } from '#core/cluster/batch.ts';
import type { KillValue } from '#core/cluster/records.ts';
import { stillMe, stillRegistered } from '#core/cluster/registration.ts';
import { type Candidate, commonTzdata, fits, hashOf, rank } from '#core/decide/placement.ts';
import type { JobId, RunId } from '#core/model/ids.ts';
import { sleep } from '#core/ports/clock.ts';
import type { Entry } from '#core/ports/kv.ts';
import { createAdoption } from './adoption.ts';
import { type AgentDeps, times } from './context.ts';
import { inOrder } from './in-order.ts';
import { createIntents } from './intents.ts';
import { createKeeper } from './keeper.ts';
import { createMirror, type MirroredJob } from './mirror.ts';
import { createOrders } from './orders.ts';
import { patientReads } from './patient-reads.ts';
import { createPlanner } from './planner.ts';
import { createPresence } from './presence.ts';
import { createRetries } from './retries.ts';
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
  const deps = { ...given, runner: inOrder(given.runner) };
  const { settings, layout, clock, events, runner } = deps;
  const ending = new AbortController();
  const timeline = createTimeline(clock);
  const kv = patientReads(deps.kv, again);
  const mirror = createMirror(deps);
  const presence = createPresence(deps);
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
  const claims = batcher({ kv, outer: under(stillMe), under: presence.incarnation, again });
  const finishes = batcher({ kv, outer: () => [], again });
  const reads = batcher({ kv, outer: () => [], again });
  const keeps = batcher({ kv, outer: under(stillRegistered), under: presence.incarnation, again });

  const runs = createRuns({ ...deps, guard }, finishes, {
    freed(job) {
      freed.add(job);
      planner.freed(job);
      timeline.at(clock.now(), () => {
        if (freed.size === 0) return;
        orders.review(new Set(freed));
        freed.clear();
      });
    },
    waits: (one) => retries.schedule(one),
  });
  const starter = createStarter({ ...deps, guard, mirror, presence, runs, timeline });
  const found = (entry: Entry) => guard('found', adoption.found(entry));
  const intents = createIntents({ ...deps, reads, timeline, guard, found });
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
    replace,
  };
  const planner = createPlanner({ ...shared, placeOf });
  const more = { ...shared, hasRoom: () => planner.hasRoom() };
  const retries = createRetries(more);
  const orders = createOrders({ ...more, placeOf: placeOfOrder });
  const keeper = createKeeper({ ...shared, keeps });
  const adoption = createAdoption({ ...shared, keeper, keeps, again });

  /** An expected end of what runs in the background; anything else must be seen. */
  function guard(where: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!ending.signal.aborted) events.emit({ type: 'agent.fault', worker: settings.id, where, error });
    });
  }

  function candidates(): (Candidate & { hash: number })[] {
    return [...mirror.workers].map(([id, { record, hash }]) => ({
      worker: record,
      draining: mirror.drains.has(id),
      full: false,
      hash,
    }));
  }

  let common = { candidates: candidates(), tzdata: '' };
  function lookAround(): void {
    const all = candidates();
    common = { candidates: all, tzdata: commonTzdata(all.map(({ worker }) => worker)) };
  }

  function placeOf(job: MirroredJob): { place: number; runnable: boolean } | null {
    if (mirror.drains.has(settings.id)) return null;
    const { job: spec } = job.record;
    if (spec.mode === 'all') {
      const self = mirror.workers.get(settings.id);
      return fits(spec, self?.record ?? settings) ? { place: 0, runnable: true } : null;
    }
    const { order, runnable } = rank(spec, job.hash, common.candidates, common.tzdata);
    const place = order.indexOf(settings.id);
    return place < 0 || place >= times.deputyDelays.length ? null : { place, runnable };
  }

  function placeOfOrder(id: JobId): number | null {
    const job = mirror.jobs.get(id);
    if (job !== undefined) return placeOf(job)?.place ?? null;
    // Of a job that is gone only the books are left to keep: any one will do, as long as all agree.
    const ids = [...mirror.workers.keys()].sort();
    return ids[hashOf(id) % Math.max(1, ids.length)] === settings.id ? 0 : null;
  }

  /** Asks that what lives in a lane be killed, as a person would (overlap: replace). */
  function replace(job: JobId, running: readonly Entry[]): void {
    for (const entry of running) {
      const run = entry.key.slice(entry.key.lastIndexOf('/') + 1);
      if (mirror.kills.has(run)) continue;
      const at = clock.now();
      const value: KillValue = {
        by: 'overlap: replace',
        at,
        expiresAt: at + 86_400_000,
        signalledAt: null,
        confirmedAt: null,
        signal: null,
        graceMs: null,
      };
      const key = layout.kill(run);
      const piece: Piece = {
        job,
        txn: {
          compare: [
            { key: entry.key, target: 'create', op: '>', revision: '0' },
            { key, target: 'create', op: '=', revision: '0' },
          ],
          then: [{ type: 'put', key, value: JSON.stringify(value) }],
        },
      };
      guard('replace', keeps.submit(piece));
    }
  }

  function killsAsked(asked: readonly RunId[]): void {
    for (const run of asked) {
      const one = runs.live.get(run);
      const request = mirror.kills.get(run);
      if (one !== undefined && request !== undefined) runs.kill(one, request.value);
    }
    retries.review(null, new Set(asked));
  }

  let quiet: (() => void) | null = null;
  function membership(died: { id: string; incarnation: string }[], stop: AbortSignal): void {
    for (const one of died) if (one.id !== settings.id) guard('bury', keeper.bury(one, stop));
    quiet?.();
    const rerank = () => {
      lookAround();
      planner.changed(mirror.jobs.keys());
      orders.review(new Set([...mirror.orders.values()].map(({ job }) => job)));
    };
    if (died.length > 0) rerank();
    else quiet = timeline.at(clock.now() + times.membershipQuiet, rerank);
  }

  /** The lease is sure again, and every run adopted: what was claimed starts if in time, and every lane is looked at anew. */
  function reborn(): void {
    for (const one of [...runs.live.values()])
      if (one.phase === 'claimed') guard('resume', starter.resume(one));
    planner.reload();
  }

  async function beat(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      deps.report({
        id: settings.id,
        at: clock.now(),
        running: runs.count(),
        revision: mirror.revision(),
        cpu: 0,
        memory: 0,
        clockSkewMs: 0,
      });
      await sleep(clock, reportEvery, stop);
    }
  }

  /** From a listed mirror to work: adopts first, then decides. */
  async function begin(stop: AbortSignal, until: AbortSignal): Promise<void> {
    lookAround();
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
    async run(stop: AbortSignal): Promise<void> {
      const processes = await runner.adopt({
        started(run, at) {
          const one = runs.live.get(run);
          if (one !== undefined) runs.started(one, at);
        },
        ended(run, end) {
          const one = runs.live.get(run);
          if (one !== undefined) guard('ended', adoption.ended(one, end));
          else adoption.endedBefore(run, end);
        },
      });
      adoption.know(processes);
      await presence.enter(stop);
      if (stop.aborted) return;
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
      const failed = Promise.all([following, renewing]).then(() => {});
      await Promise.race([listed.promise, failed, aborted(stop)]);
      if (!stop.aborted) {
        const beginning = begin(stop, until);
        // A stop does not wait for a beginning that waits for the store.
        await Promise.race([beginning.then(() => failed), failed, aborted(stop)]);
        guard('begin', beginning);
      }
      retries.close();
      orders.close();
      await planner.close();
      await runner.stop();
      const settled = new AbortController();
      await Promise.race([runs.settled(), sleep(clock, times.stopWait, settled.signal)]);
      settled.abort();
      const living = runs.live.size + runs.waiting.size;
      await presence.leave(living);
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
