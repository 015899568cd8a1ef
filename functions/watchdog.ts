import { pino } from 'pino';
import { logEvent } from '#agent/event-log.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { watchOnce } from './alerts/keep-watching.ts';
import { figuresTo } from './cloud/figures.ts';
import { cloudStores } from './cloud/stores.ts';

// The watchdog as a scheduled function: the second pair of eyes when no worker lives. It fails where it can't see, so that an alarm
// on its errors, and on its silence, tells of that.

const {
  CRONFLEET_SETTINGS = '/cronfleet',
  CRONFLEET_STAGE = 'dev',
  CRONFLEET_LOG_LEVEL = 'info',
} = process.env;
const clock = systemClock();
const ids = systemIds();
const events = eventBus();
const lines = pino.destination({ dest: 1, sync: true });
const logger = pino({ level: CRONFLEET_LOG_LEVEL }, lines);
events.on((event) => logEvent(logger, event));
const stores = cloudStores({ path: CRONFLEET_SETTINGS, clock, ids, events });

export async function handler(): Promise<{ overdue: number; dead: number; live: number }> {
  const deps = { ...stores, clock, ids, events, fetch: globalThis.fetch };
  const { overdue, dead, live } = await watchOnce(deps, [
    figuresTo((line) => void lines.write(`${line}\n`), CRONFLEET_STAGE),
  ]);
  return { overdue: overdue.length, dead: dead.length, live };
}
