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

/**
 * Milliseconds of CLOCK_BOOTTIME. Node only reads CLOCK_MONOTONIC, which is the same less the time suspended;
 * /proc/uptime is the right one, cut off to 10 ms. The greatest difference seen between the two is, to within
 * those 10 ms and never above it, the time suspended: so this clock is fine, never steps back, and never runs ahead of
 * what a shell reads in /proc/uptime by more than that cut.
 */
function bootTime(): () => number {
  const uptimeMs = uptimeReader();
  let suspendedMs = -Infinity;
  return () => {
    // In this order: a pause between the two reads then makes the difference too small, which the next read mends.
    const uptime = uptimeMs();
    const monotonic = Number(process.hrtime.bigint()) / 1e6;
    suspendedMs = Math.max(suspendedMs, uptime - monotonic);
    return monotonic + suspendedMs;
  };
}

function uptimeReader(): () => number {
  let file: number;
  try {
    file = openSync('/proc/uptime', 'r');
  } catch {
    // No Linux: agents do not run here, and for API and command line the monotonic clock is boot time enough.
    return () => Number(process.hrtime.bigint()) / 1e6;
  }
  const buffer = Buffer.alloc(64);
  return () => Number.parseFloat(buffer.toString('latin1', 0, readSync(file, buffer, 0, 64, 0))) * 1_000;
}
