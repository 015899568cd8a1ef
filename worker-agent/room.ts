import { type ArmingPace, startsAtOnce } from './arming-pace.ts';
import type { AgentDeps } from './context.ts';
import type { Runs } from './runs.ts';
import type { Timeline } from './timeline.ts';

/** Until a full disk is looked at again: an end of a run is told, room on the disk is not. */
const fullDiskMs = 2_000;

/**
 * The slots of this worker: living runs take them, wrappers that stand armed, and claims under way. Of what starts at once, its time having
 * come, no more is taken on than can start soon. Who finds no slot, or comes behind too many others, waits in line, and is
 * asked when there is one: longest wait first, be it an instant, an order or a next attempt, so that none of them starves.
 */
export function createRoom(
  deps: Pick<AgentDeps, 'settings' | 'ledger'> & {
    runs: Pick<Runs, 'count'>;
    timeline: Timeline;
    pace: Pick<ArmingPace, 'perRunMs'>;
    /** How many runs are being started at once. */
    starting(): number;
    /** Something could not be taken on for want of a slot. */
    starving(): void;
  },
) {
  const { settings, ledger, runs, timeline, pace } = deps;
  const line = new Map<unknown, () => void>();
  let taken = 0;
  /** Claims under way of what is to start at once. */
  let turns = 0;
  let cancel: (() => void) | null = null;
  let soon = false;
  const relieved: (() => void)[] = [];

  function has(): boolean {
    return runs.count() + taken < settings.capacity && ledger.hasRoom();
  }

  function mayStart(): boolean {
    return has() && turns + deps.starting() < startsAtOnce(pace.perRunMs());
  }

  function serve(): void {
    cancel = null;
    soon = false;
    // Who is asked may get in line again, and is not asked twice for that.
    for (let left = line.size; left > 0 && mayStart(); left -= 1) {
      const [first] = line;
      if (first === undefined) break;
      line.delete(first[0]);
      first[1]();
    }
    if (line.size > 0 && !ledger.hasRoom()) look(fullDiskMs);
    relieve();
  }

  function look(afterMs: number): void {
    cancel?.();
    cancel = timeline.in(afterMs, serve);
  }

  function freed(): void {
    if (line.size === 0 || soon) return;
    soon = true;
    look(0);
  }

  function take(turn: 0 | 1): () => void {
    taken += 1;
    turns += turn;
    let mine = true;
    return () => {
      if (!mine) return;
      mine = false;
      taken -= 1;
      turns -= turn;
      freed();
    };
  }

  function relieve(): void {
    if (line.size === 0) for (const tell of relieved.splice(0)) tell();
  }

  return {
    /** Whether another run may be taken on. */
    has,
    /** The same of one that would start at once. */
    mayStart,
    /** Whether somebody waits whose time has come, for no more than his turn: nothing is armed ahead of him. */
    isPressed: () => line.size > 0 && has(),
    /** Settles when nobody waits in line. */
    relieved: (): Promise<void> =>
      line.size === 0 ? Promise.resolve() : new Promise((resolve) => relieved.push(resolve)),
    /** Takes a slot, whether or not there is one; the answer gives it back, once. */
    take: () => take(0),
    /** The same for the claim of what starts at once. */
    takeTurn: () => take(1),
    /** A run has ended, or is started. */
    freed,
    /** Who waits already keeps its place. Asked, it takes its turn at once or has left the line: it is not known how long it would ponder. */
    wait(who: unknown, ask: () => void): void {
      line.set(who, ask);
      if (!has()) deps.starving();
      if (cancel === null && !ledger.hasRoom()) look(fullDiskMs);
    },
    leave(who: unknown): void {
      if (line.delete(who)) relieve();
    },
  };
}
export type Room = ReturnType<typeof createRoom>;
