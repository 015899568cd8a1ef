import type { Clock } from '#core/ports/clock.ts';

/** A burst that is over by then is left to the deputies, who look at once. */
const fullAfterMs = 500;
/** Told seldom: every worker ranks anew for it. */
const roomAfterMs = 5_000;

/** Whether this worker tells the others that it has no room: its lanes then go to who has some. */
export function createFullness(deps: { clock: Clock; hasRoom(): boolean; tell(): void }) {
  const { clock, hasRoom, tell } = deps;
  let full = false;
  let cancel: (() => void) | null = null;

  function look(afterMs: number): void {
    cancel = clock.after(afterMs, () => {
      cancel = null;
      const was = full;
      full = !hasRoom();
      if (full !== was) tell();
      if (full) look(roomAfterMs);
    });
  }

  return {
    isFull: () => full,
    /** Something could not be taken on for want of room. */
    starving(): void {
      if (cancel === null) look(fullAfterMs);
    },
    close: () => cancel?.(),
  };
}
export type Fullness = ReturnType<typeof createFullness>;
