import * as v from 'valibot';
import { type Batcher, batcher, type Piece } from '#core/cluster/batch.ts';
import { adopt } from '#core/cluster/finish.ts';
import { readRunning } from '#core/cluster/read-key.ts';
import type { KillValue, RunningValue } from '#core/cluster/records.ts';
import { stillRegistered } from '#core/cluster/registration.ts';
import { fits } from '#core/decide/placement.ts';
import { type JobId, parseRunId, type RunId } from '#core/model/ids.ts';
import { Job } from '#core/model/job.ts';
import { type Entry, type KvError, prefixRange, type Revision } from '#core/ports/kv.ts';
import type { AgentDeps, Guard } from './context.ts';
import type { HeldRun, Keeper } from './keeper.ts';
import type { Mirror } from './mirror.ts';
import type { Presence } from './presence.ts';
import type { FoundRun, RunEnd } from './runner.ts';
import type { LiveRun, Runs } from './runs.ts';
import type { Starter } from './starter.ts';

/** Brings keys and processes of one host together again: after a restart, a lost registration, a lost reply. */
export function createAdoption(
  deps: AgentDeps & {
    mirror: Mirror;
    presence: Presence;
    runs: Runs;
    starter: Starter;
    keeper: Keeper;
    keeps: Batcher;
    again: (attempt: number, error: KvError) => Promise<boolean>;
    guard: Guard;
  },
) {
  const { kv, layout, clock, settings, events, runner, mirror, presence, runs, starter, keeper, guard } =
    deps;

  /** What this host's directories held at the start and no key has been matched with yet. Without it a living run would be started again. */
  const found = new Map<RunId, FoundRun>();

  /** Where adoptions go, and under which incarnation. */
  interface Hand {
    batch: Batcher;
    incarnation: Revision;
  }

  /** Moves a running key under an incarnation of mine; its new mod revision, or null: it is not mine any more. */
  async function move(at: HeldRun, hand: Hand): Promise<{ running: RunningValue; mod: Revision } | null> {
    const { entry, job, lane, run, value } = at;
    const running: RunningValue = { ...value, incarnation: hand.incarnation };
    const piece: Piece = adopt(layout, { job, lane, run, mod: entry.mod }, running);
    const result = await hand.batch.submit(piece);
    if (result.outcome !== 'done') return null;
    if (result.succeeded) return { running, mod: result.revision };
    const [seen] = result.results;
    const standing = seen?.type === 'range' ? seen.entries[0] : undefined;
    // A repeat whose first try was applied finds its own value.
    return result.doubt && standing?.value === JSON.stringify(running)
      ? { running, mod: standing.mod }
      : null;
  }

  async function stands({ plan }: FoundRun): Promise<boolean> {
    const { group, name } = plan.job;
    return (await kv.range({ key: layout.run(`${group}/${name}`, plan.lane, plan.run) })).count > 0;
  }

  /** Takes up a key that this life of the agent does not know, and goes on from where its process is. False: it is not as it was seen. */
  async function takeUp(at: HeldRun, hand: Hand): Promise<boolean> {
    if (at.value.state === 'claimed' && !found.has(at.run) && !presence.hasTraces(at.value.incarnation))
      return await untraced(at, hand);
    const moved = await move(at, hand);
    if (moved === null) return false;
    if (runs.knows(at.run)) return true;
    const key = { ...moved, run: at.run, job: at.job, lane: at.lane, fence: at.entry.create };
    if (at.value.state === 'waiting') {
      runs.wait(key);
      return true;
    }
    const process = found.get(at.run) ?? null;
    found.delete(at.run);
    const known = process?.plan.job ?? mirror.jobs.get(at.job)?.record.job;
    const { group, name } = parseRunId(at.run);
    const one = runs.add({ ...key, spec: known ?? v.parse(Job, { group, name }) });
    // What was claimed is not known here, and what stands instead of it is not for this worker.
    const elsewhere = process === null && known !== undefined && !fits(known, settings);
    if (elsewhere)
      await runs.end(one, {
        state: 'skipped',
        reason: 'its job is not for this worker any more',
        endedAt: clock.now(),
      });
    else if (known !== undefined) resume(one, process);
    else
      await runs.end(one, {
        state: 'lost',
        reason: 'its job is gone, and its host knows nothing of it',
        endedAt: clock.now(),
      });
    return true;
  }

  /**
   * Claimed by an earlier life, and this host knows nothing of it: it has another disk now, or what was written last went with the power.
   * Nobody can say that it has not started. Not moved before, or the next life would take it for this one's.
   */
  async function untraced({ entry, job, lane, run, value }: HeldRun, hand: Hand): Promise<boolean> {
    if (runs.knows(run)) return true;
    const running: RunningValue = { ...value, incarnation: hand.incarnation };
    const key = { run, job, lane, running, mod: entry.mod, fence: entry.create };
    const { group, name } = parseRunId(run);
    const one = runs.add({ ...key, spec: mirror.jobs.get(job)?.record.job ?? v.parse(Job, { group, name }) });
    const reason = 'claimed before its worker was started anew, and its host knows nothing of it any more';
    const follows = mirror.kills.has(run) ? 'killed' : 'lost';
    await runs.end(one, { state: 'lost', reason, endedAt: clock.now() }, follows);
    return true;
  }

  /** What stands under my name in the lane of a key that was moved by somebody else: a finish of my last life may have arrived only now. */
  async function whatFollows({ job, lane }: HeldRun): Promise<HeldRun[]> {
    const { entries } = await kv.range(prefixRange(layout.runningLane(job, lane)));
    return entries.flatMap((entry) => {
      const at = readRunning(layout, entry);
      return at.ok && at.value.worker === settings.id ? [at] : [];
    });
  }

  function resume(one: LiveRun, process: FoundRun | null): void {
    events.emit({ type: 'run.adopted', run: one.run, phase: process?.phase ?? 'unknown' });
    if (process?.startedAt != null) runs.started(one, process.startedAt);
    const asked = mirror.kills.get(one.run);
    if (asked !== undefined && !endedByItself(process, asked.value)) runs.kill(one, asked.value);
    if (process?.phase === 'ended' && process.end !== null) guard('ended', ended(one, process.end));
    // Not waited for: it may be a while until its time, and nothing is claimed before all is adopted.
    if (process?.phase !== 'ended' && process?.phase !== 'running') guard('resume', starter.resume(one));
  }

  async function ended(one: LiveRun, end: RunEnd): Promise<void> {
    if (end.how === 'not_started' && one.phase === 'claimed' && one.killing === null) {
      one.inHand = false;
      return await starter.resume(one);
    }
    await runs.ended(one, end);
  }

  /** A claimed run whose key was closed while this worker was cut off. */
  async function closed(one: LiveRun): Promise<void> {
    await runner.disarm(one.run);
    if (one.phase === 'claimed')
      await runs.end(one, {
        state: 'lost',
        reason: 'closed while its worker was cut off',
        endedAt: clock.now(),
      });
  }

  /**
   * A process whose key is gone: what never started is un-armed; of what runs or ran, the record still goes out, and History
   * keeps it beside the closer's.
   */
  async function orphan(process: FoundRun): Promise<void> {
    const { plan, phase } = process;
    if (phase === 'armed' || phase === 'claimed') {
      await runner.disarm(plan.run);
      await runner.forget(plan.run);
      return;
    }
    const at = process.claimedAt ?? clock.now();
    const { instant, attempt, losses, covers, trigger, order, by, env } = plan;
    const running: RunningValue = {
      ...{ worker: settings.id, incarnation: '0', state: 'claimed', notBefore: instant ?? at, at },
      ...{ instant, attempt, losses, covers, trigger, order, by, env },
    };
    const job: JobId = `${plan.job.group}/${plan.job.name}`;
    const one = runs.add({
      run: plan.run,
      job,
      lane: plan.lane,
      spec: plan.job,
      running,
      mod: null,
      fence: process.fence ?? '0',
    });
    resume(one, process);
  }

  return {
    ended,
    /** Takes in what this host's directories hold, before anything is adopted. */
    know(processes: readonly FoundRun[]): void {
      for (const process of processes) found.set(process.plan.run, process);
    },
    /** How many of those no key has been matched with yet. */
    unmatched: () => found.size,
    /** A process that was found alive has ended before its key was adopted. False: it is none of those. */
    endedBefore(run: RunId, end: RunEnd): boolean {
      const process = found.get(run);
      if (process === undefined) return false;
      found.set(run, { ...process, phase: 'ended', end });
      return true;
    },
    /**
     * Adopts every key under my name, before anything is claimed: after a start, and after a lost registration. Gives how many keys
     * there are.
     */
    async adoptAll(): Promise<number> {
      const incarnation = presence.lastIncarnation();
      if (incarnation === null) return 0;
      const outer = () => stillRegistered(layout, settings.id, incarnation);
      const hand: Hand = { batch: batcher({ kv, again: deps.again, outer }), incarnation };
      // What is added while the keys are being read is not missing from them.
      const live = [...runs.live.values()];
      const waiting = [...runs.waiting.values()];
      const held = new Set<RunId>();
      const moved: HeldRun[] = [];
      const work: Promise<void>[] = [];
      for await (const at of keeper.held()) {
        if (at.value.worker !== settings.id) {
          guard('inherit', keeper.inherit(at));
          continue;
        }
        held.add(at.run);
        const known = runs.live.get(at.run) ?? runs.waiting.get(at.run);
        if (known === undefined) work.push(takeUp(at, hand).then((taken) => void (taken || moved.push(at))));
        else work.push(move(at, hand).then((moved) => void (moved !== null && Object.assign(known, moved))));
      }
      await Promise.all(work);
      for (const gone of moved)
        for (const at of await whatFollows(gone)) {
          held.add(at.run);
          await takeUp(at, hand);
        }
      for (const one of live) if (!held.has(one.run) && one.phase === 'claimed') guard('closed', closed(one));
      for (const one of waiting) if (!held.has(one.run)) runs.waiting.delete(one.run);
      for (const [run, process] of [...found]) {
        // Seen, but not moved: closed in between, or not mine to move as long as this registration is lost.
        if (held.has(run) && (await stands(process))) continue;
        found.delete(run);
        guard('orphan', orphan(process));
      }
      return held.size;
    },
    /**
     * A running key that was seen. One under my name that I know nothing of is taken up by moving it, so that a stale sight of it does
     * nothing; an attempt that waits for nobody is inherited.
     */
    async found(entry: Entry): Promise<void> {
      const at = readRunning(layout, entry);
      const incarnation = presence.incarnation();
      // The keeper names what can't be read.
      if (!at.ok || incarnation === null) return;
      if (at.value.worker !== settings.id) await keeper.inherit(at);
      else if (!runs.knows(at.run)) await takeUp(at, { batch: deps.keeps, incarnation });
    },
  };
}

/** Whether a run that ended while no agent watched did so without our doing, though a kill was asked for: nobody had signed it. */
function endedByItself(process: FoundRun | null, asked: KillValue): boolean {
  return process?.phase === 'ended' && process.end?.how !== 'killed' && asked.signalledAt === null;
}
