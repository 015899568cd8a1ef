import { pino } from 'pino';
import type { Events } from '#core/ports/events.ts';
import { logEvent } from './event-log.ts';
import { logLine } from './log-lines.ts';

/** Logs events to stderr: JSON for whatever collects it; lines for who started this in a terminal and looks on. */
export function logToStderr(events: Events, how: { level: string; terminal: boolean }): void {
  const stderr = pino.destination({ dest: 2, sync: true });
  const lines = { write: (line: string) => void stderr.write(logLine(line)) };
  const logger = pino({ level: how.level }, how.terminal ? lines : stderr);
  events.on((event) => logEvent(logger, event));
}
