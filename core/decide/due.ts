import { durationMs } from '#core/model/duration.ts';
import type { JobRecord } from '#core/model/job.ts';
import { isPaused, leftOutReason } from './may-start.ts';

/** What deciding needs of a schedule; instants are UTC ms. */
export interface Instants {
  next(after: number): number | null;
  prev(before: number): number | null;
  /** How many lie in (from, to], counted up to `limit`. */
  count(from: number, to: number, limit?: number): number;
}

/** Instants that did not run, for one reason: one record. */
export interface Stretch {
  instant: number;
  until: number;
  count: number;
  state: 'skipped' | 'missed';
  reason: string;
}

/** One job in one lane, as its decider sees it. */
export interface LaneView {
  record: JobRecord;
  schedule: Instants | null;
  /** The last decided instant, or null: none yet, then due is what lies above the floor. */
  cursor: number | null;
  /** UTC ms; who claims ahead of an instant hands in that instant. */
  now: number;
  /** The first instant that was held back here (queue, replace, no capacity): what is late for that is not missed. */
  held: number | null;
}

export type Verdict =
  /** Nothing will be due as things stand: disabled, paused without end, by hand only, or over. */
  | { do: 'rest' }
  /** Look again then: the next instant, or the end of a pause. */
  | { do: 'wait'; at: number; instant: number | null }
  /** Move the cursor there without a run. */
  | { do: 'decide'; cursor: number; records: Stretch[] }
  | {
      do: 'run';
      instant: number;
      trigger: 'schedule' | 'catch-up';
      covers: { from: number; count: number } | null;
      records: Stretch[];
    }
  /** Move the cursor there and let an order run what lies in [from, to], one after the other. */
  | { do: 'catch-up'; cursor: number; from: number; to: number; records: Stretch[] };

/** Later than this is not the schedule any more but catching up: what a restart or a change of hands may cost. */
export const onTimeMs = 15_000;

/** Whoever decides is seconds ahead of an instant at most: a cursor further ahead than this was written by a wrong clock, or by hand. */
export const cursorAheadMs = 60_000;

/** Counting stops here: a stretch of a million instants says enough. */
const countLimit = 1_000_000;

/** What to do about a lane now. Data in, data out; every instant at or below the cursor it returns is accounted for. */
export function decideLane(view: LaneView): Verdict {
  const { record, schedule, now } = view;
  if (!record.job.enabled || schedule === null) return { do: 'rest' };
  if (isPaused(record.paused, now))
    return record.paused.until === null
      ? { do: 'rest' }
      : { do: 'wait', at: record.paused.until, instant: null };

  const { lower, records } = settled(view, schedule);
  const first = schedule.next(lower);
  if (first === null || first > now) {
    if (records.length > 0) return { do: 'decide', cursor: lower, records };
    return first === null ? { do: 'rest' } : { do: 'wait', at: first, instant: first };
  }
  const newest = schedule.prev(now + 1) ?? first;
  const left = new Set(record.skips.filter((instant) => instant > lower && instant <= newest));
  let last: number | null = newest;
  while (last !== null && left.has(last)) last = schedule.prev(last);
  if (last === null || last < first)
    return {
      do: 'decide',
      cursor: newest,
      records: [...records, ...apart(schedule, lower, newest, left, 'missed', '')],
    };
  return decideBacklog(view, { lower, first, newest, last, left, records, schedule });
}

/**
 * Keeps the books of a job that no live worker fits: what waited longer than catching up would reach back is missed, the
 * rest waits above the cursor for a worker that fits.
 */
export function decideUnfit(view: LaneView): Verdict {
  const { record, schedule, now } = view;
  if (!record.job.enabled || schedule === null || isPaused(record.paused, now)) return decideLane(view);
  const waitsMs = record.job.catchUp === 'none' ? onTimeMs : durationMs(record.job.catchUpWindow);
  const { lower, records } = settled(view, schedule);
  const first = schedule.next(lower);
  if (records.length > 0 && (first === null || first + waitsMs > now))
    return { do: 'decide', cursor: lower, records };
  if (first === null) return { do: 'rest' };
  if (first + waitsMs > now) return { do: 'wait', at: first + waitsMs, instant: null };
  const through = schedule.prev(now - waitsMs + 1) ?? first;
  return {
    do: 'decide',
    cursor: through,
    records: [...records, ...stretch(schedule, lower, through, 'missed', 'no worker fits it')],
  };
}

/**
 * What is said of the instants that are due and undecided when this version of the job comes to its end: nobody runs them any more, and
 * who decides next knows another version. `why` is what ends it; what was paused, disabled or left out before that is called so.
 */
export function settleVersion(
  view: Omit<LaneView, 'held'>,
  why: 'edited' | 'disabled' | 'deleted',
): Stretch[] {
  const { record, schedule, now } = view;
  if (schedule === null) return [];
  const { lower, records } = settled(view, schedule);
  const from = Math.max(lower, settledBefore(view));
  const reason = !record.job.enabled ? 'disabled' : isPaused(record.paused, now) ? 'paused' : why;
  return [...records, ...apart(schedule, from, now, new Set(record.skips), 'skipped', reason)];
}

/** Where due begins, with what the stretch between cursor and floor is recorded as. A lane that nobody has decided yet begins with its job. */
function settled(
  { record, cursor, now }: Omit<LaneView, 'held'>,
  schedule: Instants,
): { lower: number; records: Stretch[] } {
  const floor = floorOf(record, now);
  const from = cursor ?? Math.min(record.createdAt, record.floor);
  if (floor.at <= from) return { lower: from, records: [] };
  const owed = Math.max(from, settledBefore({ record, cursor }));
  const records = floor.why === 'created' ? [] : stretch(schedule, owed, floor.at, 'skipped', floor.why);
  return { lower: floor.at, records };
}

/**
 * In mode all that concerns the lanes that showed then: one without a cursor is of a worker that may not have been there. Not so where the
 * save that enabled it settled it: what was due until then was so by the version before, whose schedule and mode may be others.
 */
function settledBefore({ record, cursor }: Pick<LaneView, 'record' | 'cursor'>): number {
  const settledAt = record.settled ?? Number.NEGATIVE_INFINITY;
  const enabled = record.floorWhy === 'disabled' && settledAt >= record.floor;
  const shown = cursor !== null || record.job.mode === 'one' || enabled;
  return shown ? settledAt : Number.NEGATIVE_INFINITY;
}

/**
 * What is said of the instants before one that was to run and that a living run kept from it (overlap: `skip`): what does not run
 * covers nothing.
 */
export function uncovered({ instant, records }: { instant: number; records: readonly Stretch[] }): Stretch[] {
  const covered = coveredReason(instant);
  return records.map((record) =>
    record.reason === covered
      ? {
          ...record,
          reason: 'nobody could run it in time, and what would have covered it was skipped: overlap',
        }
      : record,
  );
}

const tooLateReason = 'nobody could run it in time, and catchUp is none';
/** What is said of instants for which one run stands. */
export const coveredReason = (last: number) => `covered by the run of ${new Date(last).toISOString()}`;

interface Backlog {
  lower: number;
  first: number;
  newest: number;
  /** The newest that nobody left out. */
  last: number;
  left: ReadonlySet<number>;
  records: Stretch[];
  schedule: Instants;
}

function decideBacklog({ record, now, held }: LaneView, backlog: Backlog): Verdict {
  const { lower, first, newest, last, left, records, schedule } = backlog;
  const { job } = record;
  const heldBack = held !== null && last >= held;
  const onTime = now - last <= onTimeMs || heldBack;
  const opens = now - durationMs(job.catchUpWindow);
  const policy = job.catchUp === 'none' && heldBack ? 'last' : job.catchUp;
  if (!onTime && (policy === 'none' || last < opens)) {
    const reason = policy === 'none' ? tooLateReason : `nobody could run it within ${job.catchUpWindow}`;
    return {
      do: 'decide',
      cursor: newest,
      records: [...records, ...apart(schedule, lower, newest, left, 'missed', reason)],
    };
  }
  const trigger = onTime ? 'schedule' : 'catch-up';
  if (policy === 'all' && first < last) {
    const from =
      held !== null ? Math.min(held, schedule.next(opens - 1) ?? last) : (schedule.next(opens - 1) ?? last);
    let oldest = Math.max(first, Math.min(from, last));
    // The order begins with an instant that nobody left out; `last` is one.
    while (left.has(oldest)) oldest = schedule.next(oldest) ?? last;
    const missed = apart(
      schedule,
      lower,
      oldest - 1,
      left,
      'missed',
      `nobody could run it within ${job.catchUpWindow}`,
    );
    if (oldest < last) {
      const skipped = [...left]
        .filter((instant) => instant >= oldest && instant <= last)
        .sort((a, b) => a - b);
      const leftOut = skipped.flatMap((instant) =>
        stretch(schedule, instant - 1, instant, 'skipped', leftOutReason),
      );
      return {
        do: 'catch-up',
        cursor: last,
        from: oldest,
        to: last,
        records: [...records, ...missed, ...leftOut],
      };
    }
    return { do: 'run', instant: last, trigger, covers: null, records: [...records, ...missed] };
  }
  const reason = policy === 'none' ? tooLateReason : coveredReason(last);
  const older = apart(schedule, lower, last - 1, left, 'missed', reason);
  const count = older.reduce((sum, part) => sum + (part.state === 'missed' ? part.count : 0), 0);
  const covers = count > 0 && policy !== 'none' ? { from: first, count } : null;
  return { do: 'run', instant: last, trigger, covers, records: [...records, ...older] };
}

/** Where due begins, and what to call what lies below. A pause that is over works like a floor at its end. */
export function floorOf(record: JobRecord, now: number): { at: number; why: string } {
  const until = record.paused?.until ?? null;
  if (until !== null && until <= now && until - 1 > record.floor) return { at: until - 1, why: 'paused' };
  return { at: record.floor, why: record.floorWhy };
}

/** The instants in (from, to] as one record, or none. */
function stretch(
  schedule: Instants,
  from: number,
  to: number,
  state: Stretch['state'],
  reason: string,
): Stretch[] {
  const instant = schedule.next(from);
  if (instant === null || instant > to) return [];
  const until = schedule.prev(to + 1) ?? instant;
  return [{ instant, until, count: schedule.count(from, to, countLimit), state, reason }];
}

/** The instants in (from, to], those left out by hand apart from the others. */
function apart(
  schedule: Instants,
  from: number,
  to: number,
  left: ReadonlySet<number>,
  state: Stretch['state'],
  reason: string,
): Stretch[] {
  const records: Stretch[] = [];
  let lower = from;
  for (const instant of [...left].filter((at) => at > from && at <= to).sort((a, b) => a - b)) {
    records.push(...stretch(schedule, lower, instant - 1, state, reason));
    records.push(...stretch(schedule, instant - 1, instant, 'skipped', leftOutReason));
    lower = instant;
  }
  return [...records, ...stretch(schedule, lower, to, state, reason)];
}
