import { type Alert, type FleetNotice, newAlert } from '#core/model/alert.ts';
import type { JobId } from '#core/model/ids.ts';
import type { DeadWorker, Overdue } from '../overdue.ts';
import { maxSkewMs } from '../placement.ts';

/** A worker as far as alerts go; null: History could not be asked, so it is not known. */
export interface WatchedWorker {
  id: string;
  state: 'live' | 'draining' | 'away' | 'dead';
  /** It said goodbye. */
  left: boolean;
  lastBeat: number | null;
  clockSkewMs: number | null;
  /** How full its spool is, 0 to 1. */
  spool: number | null;
}

export interface FleetFacts {
  now: number;
  workers: readonly WatchedWorker[];
  /** Whether load figures could be had: without them nobody is said to be dead, full or well again. */
  loadsKnown: boolean;
  /** Jobs that have a schedule and may run it, and that no worker fits: with the reason. */
  unfit: readonly { job: JobId; why: string }[];
  /** Jobs that are to run by a schedule. */
  scheduled: number;
  overdue: readonly Overdue[];
  dead: readonly DeadWorker[];
}

/** Something that should not be so, as it stands. */
interface Condition {
  kind: FleetNotice;
  about: string;
  /** Since when, where that is known: it tells this time from the next. */
  since: number | null;
  title: string;
  text: string;
  job: JobId | null;
  worker: string | null;
}

/** So long something has to stand before somebody is woken: a restart, a step of a clock, a lease that was late. */
const patienceMs: Record<FleetNotice, number> = {
  worker_dead: 0,
  no_worker: 60_000,
  store_away: 0,
  clock_skewed: 60_000,
  spool_half_full: 0,
  overdue: 0,
};
/** A worker that was heard of so long ago has missed several beats, and has no registration. */
const silentMs = 30_000;

/** What stands that should not, of what the facts tell. */
export function conditionsOf(facts: FleetFacts): Condition[] {
  const live = facts.workers.some(({ state }) => state === 'live');
  return [
    ...(live || facts.scheduled === 0 ? [] : [nobody(facts)]),
    // With nobody there the one line above says it all.
    ...(live ? [...facts.unfit.map(unfit), ...facts.overdue.map(overdue)] : []),
    ...(facts.loadsKnown ? deadOnes(facts) : []),
    ...facts.workers.flatMap(skewed),
    ...(facts.loadsKnown ? facts.workers.flatMap(halfFull) : []),
  ];
}

function nobody({ scheduled, overdue: late, workers }: FleetFacts): Condition {
  const gone = workers.map(({ id, state }) => `${id} is ${state}`).join(', ');
  return {
    ...{ kind: 'no_worker', about: 'fleet', since: null, job: null, worker: null },
    title: `no worker is live: ${scheduled} scheduled jobs wait`,
    text: [gone, late.length === 0 ? '' : `${late.length} schedules are overdue`].filter(Boolean).join('\n'),
  };
}

function unfit({ job, why }: FleetFacts['unfit'][number]): Condition {
  return {
    ...{ kind: 'no_worker', about: job, since: null, job, worker: null },
    ...{ title: `no worker fits ${job}`, text: why },
  };
}

function overdue({ job, lane, instant, count, why, ahead }: Overdue): Condition {
  const at = new Date(instant).toISOString();
  const title =
    ahead === null
      ? `${job} is overdue: nobody has decided ${count === 1 ? at : `${count} instants since ${at}`}`
      : `${job} stands still: its cursor is ahead of the clock, at ${new Date(ahead).toISOString()}`;
  return {
    ...{ kind: 'overdue', about: lane === '~' ? job : `${job}~${lane}`, since: instant, job, worker: null },
    ...{ title, text: why },
  };
}

function deadOnes({ workers, dead, now }: FleetFacts): Condition[] {
  const gone = workers.filter(
    ({ state, left, lastBeat }) => state === 'dead' && !left && now - (lastBeat ?? 0) >= silentMs,
  );
  const held = new Map(dead.map((one) => [one.worker, one]));
  const ids = new Set([...gone.map(({ id }) => id), ...held.keys()]);
  return [...ids].sort().map((id) => {
    const one = held.get(id);
    const lastBeat = gone.find((worker) => worker.id === id)?.lastBeat ?? one?.lastBeat ?? null;
    const heard = lastBeat === null ? '' : `, last heard of at ${new Date(lastBeat).toISOString()}`;
    return {
      ...{ kind: 'worker_dead', about: `worker:${id}`, since: lastBeat, job: null, worker: id },
      title: `worker ${id} is dead${heard}`,
      text: one === undefined ? '' : `${one.why}\n${one.runs.join('\n')}`,
    };
  });
}

function skewed({ id, state, clockSkewMs }: WatchedWorker): Condition[] {
  if (state === 'dead' || Math.abs(clockSkewMs ?? 0) <= maxSkewMs) return [];
  return [
    {
      ...{ kind: 'clock_skewed', about: `worker:${id}`, since: null, job: null, worker: id },
      title: `the clock of worker ${id} is ${clockSkewMs} ms off: it claims nothing`,
      text: 'let it be set by NTP: timedatectl set-ntp true',
    },
  ];
}

function halfFull({ id, state, spool }: WatchedWorker): Condition[] {
  if (state === 'dead' || (spool ?? 0) <= 0.5) return [];
  return [
    {
      ...{ kind: 'spool_half_full', about: `worker:${id}`, since: null, job: null, worker: id },
      title: `the spool of worker ${id} is ${Math.round((spool ?? 0) * 100)} % full`,
      text: 'records and output wait there for the history: does it answer? When it is full, output is dropped, and then nothing is started',
    },
  ];
}

/** Of which kinds nothing can be said without load figures, neither that they stand nor that they are over. */
const byLoads: readonly string[] = ['worker_dead', 'spool_half_full'] satisfies FleetNotice[];

/**
 * What is to be raised, and which of the alerts that stand have lost their cause. `channels`: who asks to be told of what. An id
 * without a time of its own has that of this look, in minutes: of two at once the later entry is told as part of the earlier.
 */
export function fleetAlerts(
  facts: FleetFacts,
  open: readonly Alert[],
  channels: readonly { name: string; on: readonly FleetNotice[] }[],
): { raised: Alert[]; over: Alert[] } {
  const conditions = conditionsOf(facts);
  const key = ({ kind, about }: { kind: string; about: string }) => `${kind} ${about}`;
  const standing = new Set(conditions.map(key));
  const known = new Set(open.map(key));
  const live = facts.workers.some(({ state }) => state === 'live');
  const raised = conditions
    .filter((one) => !known.has(key(one)))
    .flatMap(({ since, ...one }) => {
      const to = channels.filter(({ on }) => on.includes(one.kind)).map(({ name }) => name);
      const when = since ?? Math.floor(facts.now / 60_000) * 60_000;
      const id = `${one.kind}~${one.about.replaceAll(/[/:]/g, '~')}~${when}`;
      if (to.length === 0) return [];
      return [
        newAlert({ ...one, id, at: facts.now, to, recoverTo: to, due: facts.now + patienceMs[one.kind] }),
      ];
    });
  const over = open.filter(
    (alert) =>
      !standing.has(key(alert)) &&
      (facts.loadsKnown || !byLoads.includes(alert.kind)) &&
      // Unseen behind the one line that there is nobody.
      (live || (alert.kind !== 'overdue' && (alert.kind !== 'no_worker' || alert.about === 'fleet'))),
  );
  return { raised, over };
}
