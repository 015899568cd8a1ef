import { onTimeMs } from '#core/decide/due.ts';
import { barredBy } from '#core/decide/may-start.ts';
import { durationMs } from '#core/model/duration.ts';
import type { ArmingPace } from './arming-pace.ts';
import { type AgentDeps, type Guard, times } from './context.ts';
import type { Mirror } from './mirror.ts';
import type { Presence } from './presence.ts';
import type { LiveRun, Runs } from './runs.ts';
import type { Timeline } from './timeline.ts';

/**
 * So many that start at once share a gate: its pipe and its `go` are a process and files that each would have alone. Fewer than what the
 * runner takes for a burst, after which it looks at nothing for a moment.
 */
const togetherRuns = 8;
/** A start that fails for no fault of the job (the lease ran out meanwhile, ...) is tried again this often. */
const maxStarts = 3;

/** started: it was let go. held: it was not. early: nor was it, for its time is to come once more. */
type Start = 'started' | 'held' | 'early';

/** Brings claimed runs to their start: at a gate that others share, or at once. */
export function createStarter(
  deps: AgentDeps & {
    mirror: Mirror;
    presence: Presence;
    runs: Runs;
    timeline: Timeline;
    guard: Guard;
    pace: Pick<ArmingPace, 'note'>;
    /** A start has been made, or has failed. */
    through(): void;
  },
) {
  const { clock, runner, mirror, presence, runs, timeline, guard, pace } = deps;
  /** Those that are to start together, while others do. */
  const next: { one: LiveRun; resolve: (how: Start) => void; reject: (error: unknown) => void }[] = [];
  let busy = false;
  let underWay = 0;

  function whyBarred(one: LiveRun): string | null {
    return barredBy(mirror.jobs.get(one.job)?.record ?? null, clock.now(), one.running);
  }

  /** Un-arms and ends a claimed run that must not start any more; false: it may, or has. */
  async function barred(one: LiveRun): Promise<boolean> {
    const why = whyBarred(one);
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

  /** Arms, marks and releases a run whose time has come. What stops it meanwhile (kill, lost lease, delete) has the last word. */
  async function startNow(one: LiveRun): Promise<void> {
    if (one.inHand) return;
    one.inHand = true;
    one.starts += 1;
    for (;;) {
      // Claimed ahead of its time, or the clock was set back since: never early by the own clock.
      if (clock.now() < one.running.notBefore) await timeline.reached(one.running.notBefore);
      // It alone waits for that: it takes no turn yet, and does not stand among those that start together.
      const known = runner.lookUp(one.spec.user);
      if (known !== null) await known;
      underWay += 1;
      const how = await start(one).finally(() => {
        underWay -= 1;
        deps.through();
      });
      if (how === 'held') putBack(one);
      if (how !== 'early') return;
    }
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

  async function start(one: LiveRun): Promise<Start> {
    await runner.disarm(one.run);
    if (!mine(one) || (await barred(one))) return 'held';
    return await new Promise((resolve, reject) => {
      next.push({ one, resolve, reject });
      guard('start', startNext());
    });
  }

  async function startNext(): Promise<void> {
    if (busy) return;
    busy = true;
    while (next.length > 0) {
      const some = next.splice(0, togetherRuns);
      const hows = await startTogether(some.map(({ one }) => one)).catch(() => null);
      for (const { one, resolve, reject } of some) {
        // A fault of one is none of the others: each by itself, it is told of whose it was.
        if (hows === null) await startAlone(one).then(resolve, reject);
        else resolve(hows.get(one) ?? 'held');
      }
    }
    busy = false;
  }

  async function startAlone(one: LiveRun): Promise<Start> {
    await runner.disarm(one.run);
    return mine(one) ? ((await startTogether([one])).get(one) ?? 'held') : 'held';
  }

  /** By one gate, which has the name of the first. */
  async function startTogether(all: readonly LiveRun[]): Promise<Map<LiveRun, Start>> {
    const hows = new Map<LiveRun, Start>();
    const gate = all[0]?.run ?? '';
    const began = clock.boot();
    const results = await runner.arm(all.map((one) => runs.planOf(one, gate)));
    pace.note(all.length, clock.boot() - began);
    const armed: LiveRun[] = [];
    for (const one of all) {
      const refused = results.get(one.run) ?? null;
      if (refused === null) armed.push(one);
      else if (mine(one)) refuse(one, refused);
    }
    await Promise.all(armed.map((one) => mine(one) && mark(one)));
    for (let standing = armed; standing.length > 0; ) {
      // Whoever must not start any more leaves the gate before it opens, and while it does so another may have to.
      const stopped = standing.filter((one) => !mine(one) || isEarly(one) || whyBarred(one) !== null);
      standing = standing.filter((one) => !stopped.includes(one));
      if (stopped.length === 0) {
        for (const one of standing) hows.set(one, 'started');
        await runner.release(gate, presence.deadlineBoot());
        break;
      }
      for (const one of stopped) {
        if (mine(one) && !(await barred(one)) && isEarly(one)) hows.set(one, 'early');
        await runner.disarm(one.run);
      }
    }
    return hows;
  }

  /** The clock was set back since it was let through. */
  function isEarly(one: LiveRun): boolean {
    return clock.now() < one.running.notBefore;
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

  return {
    ...{ mark, barred, startNow, putBack, refuse, resume, giveUp },
    /** How many are being started whose time has come. */
    underWay: () => underWay,
  };
}
export type Starter = ReturnType<typeof createStarter>;
