import { openSync, readSync } from 'node:fs';
import type { Clock } from './clock.ts';

/**
 * The longest sleep at a stretch. Node's timers stand still while the host is suspended and overflow beyond
 * 2^31 ms, so a long wait looks at boot time again at least this often.
 */
const stretchMs = 30_000;

/** The host's own time. */
export function systemClock(): Clock {
  const boot = bootTime();
  return {
    now: Date.now,
    boot,
    after(ms, fn) {
      const due = boot() + ms;
      let timer: NodeJS.Timeout;
      const sleep = (restMs: number) => {
        timer = setTimeout(wake, Math.min(restMs, stretchMs));
      };
      const wake = () => {
        // A Node timer may fire a fraction of a millisecond early; who asked for `ms` gets no less.
        const restMs = due - boot();
        if (restMs > 0) sleep(Math.ceil(restMs));
        else fn();
      };
      sleep(Math.max(0, ms));
      return () => clearTimeout(timer);
    },
  };
}

/** /proc/uptime is cut off to hundredths of a second. */
const cutMs = 10;

/**
 * Milliseconds of CLOCK_BOOTTIME. Node only reads CLOCK_MONOTONIC, which is the same less the time suspended;
 * /proc/uptime is the right one, cut off. What the difference between the two is at first is kept until it has grown by more than that
 * cut, and so the host has been suspended: so this clock runs evenly, never steps back, is at most two cuts behind, and never runs
 * ahead of what a shell reads in /proc/uptime by more than one. Made up for bit by bit, what the cut took would make every
 * wait that is measured by this clock too short.
 */
function bootTime(): () => number {
  const uptimeMs = uptimeReader();
  const differenceMs = () => {
    // In this order: a pause between the two reads then makes the difference too small, which another read mends.
    const uptime = uptimeMs();
    return uptime - monotonicMs();
  };
  let suspendedMs = Math.max(differenceMs(), differenceMs(), differenceMs());
  return () => {
    const seenMs = differenceMs();
    if (seenMs - suspendedMs > cutMs) suspendedMs = seenMs;
    return monotonicMs() + suspendedMs;
  };
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function uptimeReader(): () => number {
  let file: number;
  try {
    file = openSync('/proc/uptime', 'r');
  } catch {
    // No Linux: agents do not run here, and for API and command line the monotonic clock is boot time enough.
    return monotonicMs;
  }
  const buffer = Buffer.alloc(64);
  return () => Number.parseFloat(buffer.toString('latin1', 0, readSync(file, buffer, 0, 64, 0))) * 1_000;
}
