import type { Batcher } from '#core/cluster/batch.ts';
import { claimRetry } from '#core/cluster/claim.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { decode, RunningValue } from '#core/cluster/records.ts';
import { mayNotStart } from '#core/decide/may-start.ts';
import { fits } from '#core/decide/placement.ts';
import type { JobId, RunId } from '#core/model/ids.ts';
import type { Revision } from '#core/ports/kv.ts';
import { type AgentDeps, type Guard, times } from './context.ts';
import { leaseGrace } from './lease-grace.ts';
import type { Mirror, MirroredJob } from './mirror.ts';
import type { Presence } from './presence.ts';
import type { Room } from './room.ts';
import type { Runs, WaitingRun } from './runs.ts';
import type { Starter } from './starter.ts';
import type { Timeline } from './timeline.ts';

/** Attempts that wait for their time, their keys mine: each is claimed then, or cancelled. */
export function createRetries(
  deps: AgentDeps & {
    mirror: Mirror;
    presence: Presence;
    runs: Runs;
    starter: Starter;
    claims: Batcher;
    timeline: Timeline;
    guard: Guard;
    room: Room;
  },
) {
  const { clock, layout, settings, mirror, presence, runs, starter, claims, timeline, room } = deps;
  const busy = new Set<RunId>();
  let open = false;

  function schedule(one: WaitingRun): void {
    timeline.at(one.running.notBefore, () => deps.guard('retry', attempt(one.run)));
  }

  function later(run: RunId): void {
    timeline.in(times.margin, () => deps.guard('retry', attempt(run)));
  }

  /** Why it must not start any more, and as what it ends; null: it may. */
  function whyOver(one: WaitingRun): { state: 'killed' | 'cancelled'; reason: string } | null {
    const job = mirror.jobs.get(one.job) ?? null;
    const asked = mirror.kills.get(one.run);
    if (asked !== undefined)
      return { state: 'killed', reason: `killed by ${asked.value.by} while it waited` };
    const gone = mayNotStart(job?.record ?? null, clock.now(), 'retry');
    if (gone !== null) return { state: 'cancelled', reason: gone };
    // In a lane of this worker's own it waits for nobody else; and of a job that all run now, nobody else looks after the lane of one.
    const alone = one.lane !== oneLane || job?.record.job.mode === 'all';
    const elsewhere = job !== null && alone && !fits(job.record.job, settings);
    return elsewhere ? { state: 'cancelled', reason: 'its job is not for this worker any more' } : null;
  }

  /** Who is asked by the room takes his turn in that very moment, or lets those behind him go first. */
  async function attempt(run: RunId): Promise<void> {
    const one = runs.waiting.get(run);
    if (!open || one === undefined || busy.has(run)) return;
    busy.add(run);
    try {
      const over = whyOver(one);
      // Adopted meanwhile, it may be another's idea of when.
      if (over !== null)
        await runs.cancel(one, mirror.jobs.get(one.job)?.record.job ?? null, over.state, over.reason);
      else if (clock.now() < one.running.notBefore) schedule(one);
      else await claim(one);
    } finally {
      busy.delete(run);
    }
  }

  async function claim(one: WaitingRun): Promise<void> {
    const job = mirror.jobs.get(one.job);
    const incarnation = presence.incarnation();
    if (job === undefined || incarnation === null) return later(one.run);
    // Its job was aimed elsewhere since: who is home there takes it over.
    if (!fits(job.record.job, settings)) return later(one.run);
    if (!room.mayStart()) return room.wait(one.run, () => deps.guard('retry', attempt(one.run)));
    const freeSlot = room.takeTurn();
    try {
      await claimInSlot(one, job, incarnation);
    } finally {
      freeSlot();
    }
  }

  async function claimInSlot(one: WaitingRun, job: MirroredJob, incarnation: Revision): Promise<void> {
    const { graceMs: _, ...before } = one.running;
    const running: RunningValue = {
      ...before,
      ...leaseGrace(job.record.job),
      worker: settings.id,
      incarnation,
      state: 'claimed',
      at: clock.now(),
    };
    const basis = { job: one.job, lane: one.lane, run: one.run, runningMod: one.mod, jobMod: job.mod };
    const result = await claims.submit(claimRetry(layout, basis, running));
    if (result.outcome === 'refused') return later(one.run);
    const [seen] = result.results;
    const entry = result.succeeded || seen?.type !== 'range' ? undefined : seen.entries[0];
    if (!result.succeeded && entry === undefined) {
      runs.waiting.delete(one.run);
      return;
    }
    const read = entry === undefined ? null : decode(RunningValue, entry);
    const mine =
      read?.ok === true && read.value.state === 'claimed' && read.value.incarnation === incarnation;
    if (!result.succeeded && !mine) {
      const waits = read?.ok === true && read.value.state === 'waiting' && read.value.worker === settings.id;
      if (!waits || entry === undefined) {
        // Taken over while this worker was cut off: another's to claim.
        runs.waiting.delete(one.run);
        return;
      }
      runs.waiting.set(one.run, { ...one, mod: entry.mod });
      return later(one.run);
    }
    if (runs.live.has(one.run) || runs.over.has(one.run)) {
      // A look at the lane was faster than the claim's own answer: it has taken it up, and may even have ended it.
      runs.waiting.delete(one.run);
      return;
    }
    const live = runs.add({ ...one, spec: job.record.job, running, mod: entry?.mod ?? result.revision });
    deps.events.emit({ type: 'run.claimed', run: one.run, fence: one.fence });
    deps.guard('start', starter.startNow(live));
  }

  return {
    schedule,
    /** Everything is adopted: what waits may be claimed. */
    begin(): void {
      open = true;
      for (const one of runs.waiting.values()) schedule(one);
    },
    /** A job was saved, paused or deleted, or a kill was asked for: what waits for nothing is cancelled at once. */
    review(jobs: ReadonlySet<JobId> | null, killed: ReadonlySet<RunId> | null): void {
      for (const one of [...runs.waiting.values()])
        if (jobs?.has(one.job) || killed?.has(one.run)) deps.guard('retry', attempt(one.run));
    },
    close(): void {
      open = false;
    },
  };
}
export type Retries = ReturnType<typeof createRetries>;
