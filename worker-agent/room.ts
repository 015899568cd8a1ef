import type { AgentDeps } from './context.ts';
import type { Runs } from './runs.ts';
import type { Timeline } from './timeline.ts';

/** Until a full disk is looked at again: an end of a run is told, room on the disk is not. */
const fullDiskMs = 2_000;

/**
 * The slots of this worker: living runs take them, wrappers that stand armed, and claims under way. Who finds none waits in line, and is
 * asked when there is one: longest wait first, be it an instant, an order or a next attempt, so that none of them starves.
 */
export function createRoom(
  deps: Pick<AgentDeps, 'settings' | 'ledger'> & {
    runs: Pick<Runs, 'count'>;
    timeline: Timeline;
    /** Something could not be taken on for want of room. */
    starving(): void;
  },
) {
  const { settings, ledger, runs, timeline } = deps;
  const line = new Map<unknown, () => void>();
  let taken = 0;
  let cancel: (() => void) | null = null;

  function has(): boolean {
    return runs.count() + taken < settings.capacity && ledger.hasRoom();
  }

  function serve(): void {
    cancel = null;
    for (const [who, ask] of [...line]) {
      if (!has()) break;
      line.delete(who);
      ask();
    }
    if (line.size > 0 && !ledger.hasRoom()) look(fullDiskMs);
  }

  function look(afterMs: number): void {
    cancel?.();
    cancel = timeline.in(afterMs, serve);
  }

  return {
    /** Whether another run may be taken on. */
    has,
    /** Takes a slot, whether or not there is one; the answer gives it back, once. */
    take(): () => void {
      taken += 1;
      let mine = true;
      return () => {
        if (!mine) return;
        mine = false;
        taken -= 1;
        if (line.size > 0) look(0);
      };
    },
    /** A run has ended. */
    freed(): void {
      if (line.size > 0) look(0);
    },
    /** Asked again, `who` keeps its place in the line. */
    wait(who: unknown, ask: () => void): void {
      line.set(who, ask);
      deps.starving();
      if (cancel === null && !ledger.hasRoom()) look(fullDiskMs);
    },
    leave(who: unknown): void {
      line.delete(who);
    },
  };
}
export type Room = ReturnType<typeof createRoom>;
