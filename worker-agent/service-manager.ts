import { spawn } from 'node:child_process';
import { type Clock, sleep } from '#core/ports/clock.ts';

/** The service manager that started this process, where it wants to hear from it: systemd, by sd_notify(3). */
export interface ServiceManager {
  /** Tells it something: `READY=1`, `STOPPING=1`, `STATUS=...`. Settles when it has been heard, or could not be told. */
  tell(...lines: string[]): Promise<void>;
  /** Tells it that we live, as often as its watchdog wants, until `stop`. A loop that hangs tells nothing. */
  run(stop: AbortSignal): Promise<void>;
}

/** How many of the watchdog's intervals a ping may take: one that was late by the half of it is followed in time. */
const pingsPerInterval = 3;

/**
 * Node has no sockets of the kind that sd_notify sends through (Unix datagrams), and an add-on would be one file for each platform. So
 * it is told by `systemd-notify`, which is there wherever systemd is: some milliseconds of another process three times in an
 * interval. Null where nobody waits to hear.
 */
export function serviceManager({
  env,
  pid,
  clock,
  complain,
}: {
  env: Readonly<Record<string, string | undefined>>;
  pid: number;
  clock: Pick<Clock, 'now' | 'boot' | 'after'>;
  /** Told once why it can't be told. */
  complain(problem: string): void;
}): ServiceManager | null {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, PATH } = env;
  if (!NOTIFY_SOCKET) return null;
  let complained = false;
  const tell = (...lines: string[]) =>
    new Promise<void>((resolve) => {
      const child = spawn('systemd-notify', lines, {
        env: { NOTIFY_SOCKET, PATH: PATH ?? '/usr/bin:/bin' },
        stdio: ['ignore', 'ignore', 'pipe'],
        timeout: 10_000,
      });
      let said = '';
      const failed = (problem: string) => {
        if (!complained)
          complain(`systemd-notify: ${problem}; the service manager can't be told of anything`);
        complained = true;
        resolve();
      };
      child.stderr.on('data', (piece) => {
        said += piece;
      });
      child.on('error', (error) => failed(error.message));
      child.on('close', (code) => (code === 0 ? resolve() : failed(said.trim() || `ended with ${code}`)));
    });
  const wantsPings = Number(WATCHDOG_USEC) > 0 && (!WATCHDOG_PID || Number(WATCHDOG_PID) === pid);
  return {
    tell,
    async run(stop) {
      if (!wantsPings) return;
      const everyMs = Number(WATCHDOG_USEC) / 1_000 / pingsPerInterval;
      while (!stop.aborted) {
        await tell('WATCHDOG=1');
        await sleep(clock, everyMs, stop);
      }
    },
  };
}
