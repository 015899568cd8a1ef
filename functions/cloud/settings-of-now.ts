import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import { elapsed } from './elapsed.ts';
import type { CloudSettings } from './settings.ts';

/** Settings that were changed hold after this long, without a deploy. */
const freshMs = 60_000;
/** Where a store refuses a credential, or reading fails, it is read again after this long, not by every request. */
const againMs = 2_000;

/**
 * The settings, read when first needed and again when they are old or a store refuses what they say. Where a later reading fails the
 * settings known before hold on, and an event tells of it.
 */
export function settingsOfNow({
  read,
  clock,
  events,
}: {
  read(): Promise<CloudSettings>;
  clock: Pick<Clock, 'now' | 'boot'>;
  events: Events;
}) {
  let known: CloudSettings | null = null;
  let sinceTried = elapsed(clock);
  let waitMs = 0;
  let reading: Promise<CloudSettings> | null = null;

  async function readAnew(): Promise<CloudSettings> {
    const before = known;
    try {
      known = await read();
      waitMs = freshMs;
      const changed = before === null ? [] : changesOf(before, known);
      if (changed.length > 0) events.emit({ type: 'settings.changed', names: changed });
      return known;
    } catch (error) {
      // A cold start without settings asks again at the next request; with some, they are worth more than none.
      waitMs = againMs;
      if (before === null) throw error;
      events.emit({ type: 'settings.stale', error });
      return before;
    } finally {
      sinceTried = elapsed(clock);
      reading = null;
    }
  }

  const fresh = () => {
    reading ??= readAnew();
    return reading;
  };
  return {
    now: (): Promise<CloudSettings> =>
      known !== null && sinceTried() < waitMs ? Promise.resolve(known) : fresh(),
    /** After a store refused a credential: what is set by now, as far as it may be asked for already. */
    again: (): Promise<CloudSettings> =>
      known !== null && sinceTried() < againMs ? Promise.resolve(known) : fresh(),
  };
}
export type SettingsOfNow = ReturnType<typeof settingsOfNow>;

function changesOf(before: CloudSettings, after: CloudSettings): string[] {
  return (Object.keys(after) as (keyof CloudSettings)[]).filter((name) => before[name] !== after[name]);
}
