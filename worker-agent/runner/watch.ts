import type { RunId } from '#core/model/ids.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import { isShort } from './faults.ts';
import type { LiveProcess } from './live-process.ts';
import { isAlive, isThere, type Processes } from './processes.ts';

/** Output must be readable elsewhere within 300 ms. */
const everyMs = 50;
/** A run that said nothing for this many looks is looked at every third time only. */
const quietLooks = 20;
/** The pid of an adopted run may have become a zombie, or somebody else: looked at every so many looks. */
const zombieLooks = 5;
const recycledLooks = 60;
/** Output is read for so long at a stretch; the next look goes on. */
const sliceMs = 10;

/** The one loop that looks at what no event tells: markers of the wrapper, growing output, adopted processes. */
export function createWatch(
  live: ReadonlyMap<RunId, LiveProcess>,
  deps: { clock: Clock; events: Events; processes: Pick<Processes, 'isOf'> },
  see: {
    /** A released run whose marker may stand by now. */
    released(one: LiveProcess): void;
    /** An adopted run whose wrapper has gone. */
    gone(one: LiveProcess): void;
    /** After each look; nothing is waited for. */
    looked(): void;
  },
) {
  const { clock, events, processes } = deps;
  let cancel: (() => void) | null = null;
  let stopped = false;
  let round = 0;

  function look(): void {
    cancel = null;
    round += 1;
    try {
      lookAtAll();
    } catch (error) {
      // Out of open files or memory for a moment: all of it is looked at again.
      if (!isShort(error)) throw error;
    } finally {
      arrange();
    }
    see.looked();
  }

  function lookAtAll(): void {
    const growing: LiveProcess[] = [];
    let slot = 0;
    for (const one of [...live.values()]) {
      slot += 1;
      if (one.phase === 'released') see.released(one);
      if (one.phase !== 'started') continue;
      if (one.child === null && isGone(one, round + slot)) see.gone(one);
      else if (one.quiet <= quietLooks || (round + slot) % 3 === 0) growing.push(one);
    }
    // Another one is first each time, so that nobody waits for ever behind those who write a lot.
    const until = clock.boot() + sliceMs;
    for (let i = 0; i < growing.length && clock.boot() < until; i += 1) {
      const one = growing[(round + i) % growing.length];
      if (one !== undefined) readOutput(one);
    }
  }

  function readOutput(one: LiveProcess): void {
    const bytes = one.tail.poll();
    one.quiet = bytes > 0 ? 0 : one.quiet + 1;
    if (bytes > 0) events.emit({ type: 'run.output', run: one.plan.run, bytes });
  }

  function isGone(one: LiveProcess, turn: number): boolean {
    const { pid } = one;
    if (pid === null || !isThere(pid) || one.dir.exit() !== null) return true;
    if (turn % recycledLooks === 0) return !processes.isOf(one.plan.run, pid);
    return turn % zombieLooks === 0 && !isAlive(pid);
  }

  function arrange(): void {
    if (cancel === null && !stopped && live.size > 0) cancel = clock.after(everyMs, look);
  }

  return {
    arrange,
    /** Looks next after so long: whoever is starting right now needs the processors more. */
    hush(ms: number): void {
      cancel?.();
      cancel = stopped ? null : clock.after(ms, look);
    },
    stop(): void {
      stopped = true;
      cancel?.();
      for (const one of live.values()) if (one.phase === 'started') readOutput(one);
    },
  };
}
