import * as v from 'valibot';
import { Job, type JobInput } from '#core/model/job.ts';
import type { Chance } from './chance.ts';
import { calm, type Weather } from './sim-kv.ts';

export type FaultKind =
  | 'kill'
  | 'crash'
  | 'freeze'
  | 'stop'
  | 'pause'
  | 'suspend'
  | 'step'
  | 'reboot'
  | 'replace'
  | 'relabel'
  | 'shoot'
  | 'storeDown'
  | 'noQuorum'
  | 'cut'
  | 'mute'
  | 'leaseLoss'
  | 'deaf'
  | 'compact'
  | 'diskFull'
  | 'historyDown'
  | 'drain';
export type ActKind =
  | 'edit'
  | 'command'
  | 'aim'
  | 'policy'
  | 'storm'
  | 'toggle'
  | 'recreate'
  | 'pause'
  | 'resume'
  | 'skip'
  | 'kill'
  | 'run'
  | 'backfill';

export interface Planned<K> {
  at: number;
  kind: K;
  /** How long it lasts, ms; a step's size. */
  ms: number;
  host: number;
  /** crash: at which of the agent's steps from then on. */
  step: number;
}

/** What a worker is. */
export interface Machine {
  labels: Record<string, string>;
  capacity: number;
  /** How far its wall clock is off reference time, ms. */
  offsetMs: number;
  /** Its zone data; left out: as everybody's. */
  tzdata?: string;
}

/** Everything that will be done to the system, drawn from a seed before it begins. */
export interface Scenario {
  workers: readonly Machine[];
  jobs: Job[];
  weather: Weather;
  /** How far the API's clock is off reference time, ms: by no more than it may be. */
  apiOffsetMs: number;
  /** How long History takes at most to take records in, ms. */
  historyMs: number;
  faults: Planned<FaultKind>[];
  acts: Planned<ActKind>[];
  /** Faults and acts end here; then comes the quiet in which all must come right. */
  healAt: number;
}

const faultKinds: readonly [FaultKind, ...FaultKind[]] = [
  ...([
    'kill',
    'crash',
    'crash',
    'crash',
    'freeze',
    'stop',
    'pause',
    'suspend',
    'step',
    'reboot',
    'leaseLoss',
  ] as const),
  'shoot',
  ...(['storeDown', 'noQuorum', 'cut', 'mute', 'deaf', 'compact', 'diskFull', 'historyDown'] as const),
];
const actKinds: readonly [ActKind, ...ActKind[]] = [
  ...(['edit', 'edit', 'command', 'toggle', 'recreate', 'pause', 'resume', 'skip', 'kill', 'kill'] as const),
  ...(['run', 'run', 'backfill', 'aim', 'policy', 'storm'] as const),
];
const ttlMs = 10_000;
/** Between these; and, one time in ten, as long as `seldom` says. */
const lasts: Record<FaultKind, { ms: readonly [number, number]; seldom?: readonly [number, ...number[]] }> = {
  kill: { ms: [50, 15_000], seldom: [0] },
  crash: { ms: [0, 5_000], seldom: [20_000] },
  freeze: { ms: [1_000, 30_000] },
  stop: { ms: [50, 15_000] },
  pause: { ms: [200, 25_000], seldom: [ttlMs, 3 * ttlMs, 10 * ttlMs] },
  suspend: { ms: [1_000, 40_000] },
  step: { ms: [0, 0] },
  reboot: { ms: [3_000, 15_000] },
  replace: { ms: [3_000, 15_000], seldom: [200] },
  relabel: { ms: [50, 4_000], seldom: [15_000] },
  shoot: { ms: [0, 0] },
  leaseLoss: { ms: [5_000, 20_000] },
  storeDown: { ms: [300, 15_000] },
  noQuorum: { ms: [300, 15_000], seldom: [60_000, 60_000, 60_000, 600_000] },
  cut: { ms: [200, 25_000], seldom: [60_000] },
  mute: { ms: [200, 25_000], seldom: [60_000] },
  deaf: { ms: [200, 8_000] },
  compact: { ms: [0, 0] },
  diskFull: { ms: [500, 12_000] },
  historyDown: { ms: [500, 30_000] },
  drain: { ms: [1_000, 20_000] },
};

/** `busy`: many jobs of a fleet, each of which comes seldom. */
export function scheduleText(chance: Chance, busy = false): string {
  const every = busy ? chance.pick([20, 30]) : chance.pick([2, 3, 5, 7, 10, 15, 20]);
  return chance.happens(0.5)
    ? `*/${every} * * * * *`
    : chance.happens(0.5)
      ? `@every ${every}s`
      : `${chance.between(0, busy ? 29 : 9)}-59/${every} * * * * *`;
}

export function commandText(chance: Chance): string {
  const length = chance.pick(['20-300', '20-300', '500-4000', '1000-9000', '5000-30000']);
  const code = chance.happens(0.75) ? 0 : 1;
  return `sim ${length} ${code}${chance.happens(0.2) ? ' stubborn' : ''}`;
}

export const zones = ['a', 'b', 'c'] as const;

export function targetOf(chance: Chance, workers: number): JobInput['target'] {
  if (workers === 1 || chance.happens(0.6)) return {};
  if (chance.happens(0.5)) return { labels: { zone: chance.happens(0.5) ? chance.pick(zones) : ['a', 'b'] } };
  const some = Array.from({ length: workers }, (_, i) => `w${i}`).filter(() => chance.happens(0.5));
  return { workers: some };
}

export function jobOf(chance: Chance, name: string, workers: number, busy: boolean): Job {
  return v.parse(Job, {
    name,
    command: commandText(chance),
    schedule: scheduleText(chance, busy),
    overlap: chance.pick(['skip', 'skip', 'queue', 'allow', 'replace']),
    ...policyOf(chance),
    mode: workers > 1 && chance.happens(busy ? 0.05 : 0.25) ? 'all' : 'one',
    target: targetOf(chance, workers),
  });
}

/** What a job's owner may change their mind about while it runs. */
export function policyOf(chance: Chance): Partial<JobInput> {
  return {
    catchUp: chance.pick(['last', 'last', 'none', 'all']),
    catchUpWindow: chance.pick(['10s', '30s', '1h']),
    guarantee: chance.pick(['at-most-once', 'at-least-once']),
    retry: { attempts: chance.pick([0, 0, 1, 3]), backoff: chance.pick(['0s', '1s', '3s']), factor: 1 },
    timeout: chance.happens(0.25) ? '4s' : null,
    killGrace: '1s',
    onLeaseLoss: chance.happens(0.3) ? 'kill' : 'continue',
  };
}

/** Mostly a handful; some seeds have a few dozen, a few some hundreds. */
function howManyJobs(chance: Chance): number {
  if (chance.happens(0.94)) return chance.between(1, 4);
  return chance.happens(0.75) ? chance.between(20, 60) : chance.between(150, 300);
}

/** Swarm testing: each seed draws which kinds of trouble it has at all, so that none hides another. */
export function scenarioOf(
  chance: Chance,
  options: { workers: number; minutes: number; kinds?: readonly FaultKind[] | undefined },
): Scenario {
  const { workers, kinds } = options;
  const length = options.minutes * 60_000;
  const some = <K>(kinds: readonly [K, ...K[]], share: number): K[] => {
    const drawn = [...new Set(kinds)].filter(() => chance.happens(share));
    return kinds.filter((kind) => drawn.includes(kind));
  };
  const faults = kinds === undefined ? some(faultKinds, 0.35) : [...kinds];
  if (workers > 1 && kinds === undefined && chance.happens(0.3)) faults.push('drain');
  // One alone has the store on its disk, too.
  if (workers > 1 && kinds === undefined && chance.happens(0.3)) faults.push('replace');
  if (workers > 1 && kinds === undefined && chance.happens(0.2)) faults.push('relabel');
  const acts = some(actKinds, 0.5);
  const often = <K>(kinds: K[], meanMs: number, last: (kind: K) => number): Planned<K>[] => {
    const [first, ...rest] = kinds;
    const plan: Planned<K>[] = [];
    if (first === undefined) return plan;
    let at = 2_000;
    for (;;) {
      at += Math.ceil(-Math.log(1 - chance.chance()) * meanMs);
      if (at >= length) return plan;
      const kind = chance.pick([first, ...rest]);
      const step = chance.between(1, chance.pick([10, 60, 300]));
      plan.push({ at, kind, ms: last(kind), host: chance.between(0, workers - 1), step });
    }
  };
  const bad = chance.happens(0.5);
  const odd = (most: number) => (bad && chance.happens(0.6) ? chance.chance() * most : 0);
  const small = workers > 1 && chance.happens(0.15);
  const apartMs = chance.pick([0, 50, 240]);
  const count = kinds === undefined ? howManyJobs(chance) : chance.between(1, 4);
  const planned = often(faults, chance.pick([4_000, 10_000, 25_000]), (kind) => {
    const { ms, seldom } = lasts[kind];
    if (kind === 'step') return chance.pick([250, -250, 5_000, -5_000, 360_000, -360_000]);
    return seldom !== undefined && chance.happens(0.1) ? chance.pick(seldom) : chance.between(...ms);
  });
  // What nobody can end from outside has to end by itself.
  const toTheEnd: readonly FaultKind[] = ['noQuorum', 'suspend', 'freeze'];
  const ends = planned.map(({ kind, at, ms }) => (toTheEnd.includes(kind) ? at + ms : 0));
  const latencyMs = chance.pick([1, 5, 20, 60]);
  return {
    workers: Array.from({ length: workers }, () => ({
      labels: { zone: chance.pick(zones) },
      capacity: small ? chance.between(1, 4) : 400,
      offsetMs: workers === 1 ? 0 : chance.between(-apartMs, apartMs),
    })),
    jobs: Array.from({ length: count }, (_, i) => jobOf(chance, `j${i}`, workers, count > 4)),
    weather: {
      ...calm,
      latencyMs,
      hearMs: 2 * latencyMs,
      refused: odd(0.08),
      lost: odd(0.04),
      replyLost: odd(0.08),
      late: odd(0.06),
      doubled: odd(0.06),
    },
    apiOffsetMs: workers === 1 ? 0 : chance.pick([0, 0, -450, 450, 200]),
    historyMs: chance.pick([25, 25, 25, 400, 4_000]),
    faults: planned,
    acts: often(acts, chance.pick([500, 2_000, 8_000]), () => chance.between(0, 20_000)),
    healAt: Math.max(length, ...ends),
  };
}
