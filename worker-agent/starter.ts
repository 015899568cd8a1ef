import { onTimeMs } from '#core/decide/due.ts';
import { barredBy } from '#core/decide/may-start.ts';
import { durationMs } from '#core/model/duration.ts';
import { type AgentDeps, type Guard, times } from './context.ts';
import type { Mirror } from './mirror.ts';
import type { Presence } from './presence.ts';
import type { LiveRun, Runs } from './runs.ts';
import type { Timeline } from './timeline.ts';

/** A start that fails for no fault of the job (the lease ran out meanwhile, ...) is tried again this often. */
const maxStarts = 3;

/** Brings claimed runs to their start: at a gate that others share, or at once. */
export function createStarter(
  deps: AgentDeps & { mirror: Mirror; presence: Presence; runs: Runs; timeline: Timeline; guard: Guard },
) {
  const { clock, runner, mirror, presence, runs, timeline, guard } = deps;

  /** Un-arms and ends a claimed run that must not start any more; false: it may, or has. */
  async function barred(one: LiveRun): Promise<boolean> {
    const why = barredBy(mirror.jobs.get(one.job)?.record ?? null, clock.now(), one.running);
    if (why === null) return false;
    await runner.disarm(one.run);
    if (one.phase !== 'claimed') return false;
    guard('end', runs.end(one, { state: 'skipped', reason: why, endedAt: clock.now() }));
    return true;
  }

  function mine(one: LiveRun): boolean {
    const { phase, killing, running } = one;
    return phase === 'claimed' && killing === null && presence.incarnation() === running.incarnation;
  }

  /** Writes the marker. */
  function mark(one: LiveRun): Promise<void> {
    const { fence, running } = one;
    return runner.markClaimed(one.run, { fence, incarnation: running.incarnation, claimedAt: running.at });
  }

  /** Arms, marks and releases a run by itself. What stops it meanwhile (kill, lost lease, delete) has the last word. */
  async function startNow(one: LiveRun): Promise<void> {
    if (one.inHand) return;
    one.inHand = true;
    if (!(await start(one))) putBack(one);
  }

  /** It is in nobody's hands any more, and has not been let go. */
  function putBack(one: LiveRun): void {
    one.inHand = false;
    lookAgain(one);
  }

  /**
   * What was held back in the middle of its start is looked at until it has started or ended: the word that the lease is sure again
   * may come while the start that finds it unsure is still under way.
   */
  function lookAgain(one: LiveRun): void {
    timeline.in(times.margin, () => {
      if (one.phase !== 'claimed' || one.killing !== null || one.inHand) return;
      if (mine(one)) guard('resume', resume(one));
      else lookAgain(one);
    });
  }

  /** Whether it was let go. */
  async function start(one: LiveRun): Promise<boolean> {
    one.starts += 1;
    // Claimed ahead of its time, or the clock was set back since: never early by the own clock.
    await timeline.reached(one.running.notBefore);
    await runner.disarm(one.run);
    if (!mine(one) || (await barred(one))) return false;
    const refused = (await runner.arm([runs.planOf(one, one.run)])).get(one.run) ?? null;
    if (!mine(one)) {
      await runner.disarm(one.run);
      return false;
    }
    if (refused !== null) {
      refuse(one, refused);
      return false;
    }
    await mark(one);
    // Set back while that was done.
    await timeline.reached(one.running.notBefore);
    if (!mine(one) || (await barred(one)) || !mine(one)) return false;
    await runner.release(one.run, presence.deadlineBoot());
    return true;
  }

  /** A run that this host can't start: said in the ledger, and retried as any failure. */
  function refuse(one: LiveRun, { code, reason }: { code: string; reason: string }): void {
    deps.events.emit({ type: 'run.refused', run: one.run, code, reason });
    guard('end', runs.end(one, { state: 'failed', reason, endedAt: clock.now() }));
  }

  /** Whether a run that should have started may still do so. */
  function inTime(one: LiveRun): boolean {
    const { instant } = one.running;
    if (instant === null || one.running.trigger !== 'schedule') return true;
    const late = clock.now() - instant;
    return late <= onTimeMs || (one.spec.catchUp !== 'none' && late <= durationMs(one.spec.catchUpWindow));
  }

  /** A claimed run that has not started, found after a restart, a lost lease or a closed gate. */
  async function resume(one: LiveRun): Promise<void> {
    if (one.inHand || !mine(one)) return;
    if (inTime(one) && one.starts < maxStarts) return await startNow(one);
    await giveUp(one, 'claimed, but not started in time');
  }

  /** Ends a claimed run that was never let go. */
  async function giveUp(one: LiveRun, reason: string): Promise<void> {
    await runner.disarm(one.run);
    if (one.phase === 'claimed') await runs.end(one, { state: 'missed', reason, endedAt: clock.now() });
  }

  return { mark, barred, startNow, putBack, refuse, resume, giveUp };
}
export type Starter = ReturnType<typeof createStarter>;
