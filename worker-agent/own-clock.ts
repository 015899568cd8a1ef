import type { ReferenceTime } from '#core/cluster/reference-time.ts';
import { maxSkewMs } from '#core/decide/placement.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';

/** Back within this it works on: at the very limit it would change its mind all the time. */
const backSkewMs = 400;
/** A change beyond this is told to the others, who otherwise hear of the limit being crossed only. */
const tellMs = 250;
const glanceEveryMs = 1_000;
/** What was claimed before the clock went off, and could not be started since, is given up then. */
const patienceMs = 60_000;
/** How long a start waits for the first answer of reference time: a History that is away delays no run. */
const firstLookMs = 1_000;

export interface OwnClockEvents {
  /** What the registration says of the clock has changed. */
  tell(): void;
  /** It went off: nothing is claimed or released any more. */
  off(): void;
  /** It has been off for so long that what waits for it is given up. */
  tired(skewMs: number): void;
  /** It is right again. */
  right(): void;
}

/**
 * Whether this worker's clock may be trusted with instants (P4): further than 500 ms off reference time it claims and releases nothing,
 * from the moment on at which that shows.
 */
export function createOwnClock(deps: {
  reference: ReferenceTime;
  clock: Clock;
  events: Events;
  worker: string;
}) {
  const { reference, clock, events, worker } = deps;
  let off = false;
  /** What the registration says; null: nothing is known yet. */
  let told: number | null = null;
  let cancelPatience = () => {};

  const isOff = () => Math.abs(reference.skewMs() ?? 0) > (off ? backSkewMs : maxSkewMs);

  function glance(see: OwnClockEvents): void {
    const skewMs = reference.skewMs();
    if (skewMs === null) return;
    const was = off;
    off = isOff();
    if (off !== was) events.emit({ type: off ? 'clock.off' : 'clock.right', worker, skewMs });
    // Off and just below the limit it says nothing: the others would count on it.
    const unsaid = off && Math.abs(skewMs) <= maxSkewMs;
    if (told === null || off !== was || (Math.abs(skewMs - told) > tellMs && !unsaid)) {
      told = skewMs;
      see.tell();
    }
    if (off === was) return;
    cancelPatience();
    if (!off) see.right();
    else {
      cancelPatience = clock.after(patienceMs, () => off && see.tired(skewMs));
      see.off();
    }
  }

  return {
    isOff,
    skewMs: () => reference.skewMs(),
    /** For the registration: written when it matters, not whenever it changes. */
    told: () => told,
    /** Before the first registration. */
    async begin(): Promise<void> {
      const enough = new AbortController();
      await Promise.race([reference.look(), sleep(clock, firstLookMs, enough.signal)]);
      enough.abort();
      told = reference.skewMs();
      off = isOff();
      if (off) events.emit({ type: 'clock.off', worker, skewMs: told ?? 0 });
    },
    async run(stop: AbortSignal, see: OwnClockEvents): Promise<void> {
      const asking = reference.run(stop);
      while (!stop.aborted) {
        glance(see);
        await sleep(clock, glanceEveryMs, stop);
      }
      cancelPatience();
      await asking;
    },
  };
}
export type OwnClock = ReturnType<typeof createOwnClock>;
