import * as v from 'valibot';
import { Job } from '#core/model/job.ts';
import type { Chance } from './chance.ts';
import { calm, type Weather } from './sim-kv.ts';

export type FaultKind =
  | 'kill'
  | 'stop'
  | 'pause'
  | 'suspend'
  | 'step'
  | 'reboot'
  | 'storeDown'
  | 'deaf'
  | 'compact'
  | 'diskFull'
  | 'historyDown'
  | 'drain';
export type ActKind =
  | 'edit'
  | 'command'
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
}

/** Everything that will be done to the system, drawn from a seed before it begins. */
export interface Scenario {
  workers: number;
  jobs: Job[];
  weather: Weather;
  faults: Planned<FaultKind>[];
  acts: Planned<ActKind>[];
  /** Faults and acts end here; then comes the quiet in which all must come right. */
  healAt: number;
}

const faultKinds: readonly [FaultKind, ...FaultKind[]] = [
  ...(['kill', 'kill', 'stop', 'pause', 'suspend', 'step', 'reboot', 'storeDown'] as const),
  ...(['deaf', 'compact', 'diskFull', 'historyDown'] as const),
];
const actKinds: readonly [ActKind, ...ActKind[]] = [
  ...(['edit', 'edit', 'command', 'toggle', 'recreate', 'pause', 'resume', 'skip', 'kill', 'kill'] as const),
  ...(['run', 'run', 'backfill'] as const),
];
const lasts: Record<FaultKind, readonly [number, number]> = {
  kill: [50, 15_000],
  stop: [50, 15_000],
  pause: [200, 25_000],
  suspend: [1_000, 40_000],
  step: [0, 0],
  reboot: [3_000, 15_000],
  storeDown: [300, 15_000],
  deaf: [200, 8_000],
  compact: [0, 0],
  diskFull: [500, 12_000],
  historyDown: [500, 30_000],
  drain: [1_000, 20_000],
};

export function scheduleText(chance: Chance): string {
  const every = chance.pick([2, 3, 5, 7, 10, 15, 20]);
  return chance.happens(0.5)
    ? `*/${every} * * * * *`
    : chance.happens(0.5)
      ? `@every ${every}s`
      : `${chance.between(0, 9)}-59/${every} * * * * *`;
}

export function commandText(chance: Chance): string {
  const length = chance.pick(['20-300', '20-300', '500-4000', '1000-9000', '5000-30000']);
  const code = chance.happens(0.75) ? 0 : 1;
  return `sim ${length} ${code}${chance.happens(0.2) ? ' stubborn' : ''}`;
}

export function jobOf(chance: Chance, name: string, workers: number): Job {
  return v.parse(Job, {
    name,
    command: commandText(chance),
    schedule: scheduleText(chance),
    overlap: chance.pick(['skip', 'skip', 'queue', 'allow', 'replace']),
    catchUp: chance.pick(['last', 'last', 'none', 'all']),
    catchUpWindow: chance.pick(['10s', '30s', '1h']),
    guarantee: chance.pick(['at-most-once', 'at-least-once']),
    retry: { attempts: chance.pick([0, 0, 1, 3]), backoff: chance.pick(['0s', '1s', '3s']), factor: 1 },
    timeout: chance.happens(0.25) ? '4s' : null,
    killGrace: '1s',
    mode: workers > 1 && chance.happens(0.25) ? 'all' : 'one',
  });
}

/** Swarm testing: each seed draws which kinds of trouble it has at all, so that none hides another. */
export function scenarioOf(chance: Chance, options: { workers: number; minutes: number }): Scenario {
  const { workers } = options;
  const length = options.minutes * 60_000;
  const some = <K>(kinds: readonly [K, ...K[]], share: number): K[] => {
    const drawn = [...new Set(kinds)].filter(() => chance.happens(share));
    return kinds.filter((kind) => drawn.includes(kind));
  };
  // Workers that share a store are measured against one reference time, which the simulation does not give them yet.
  const apart: readonly FaultKind[] = workers > 1 ? ['step'] : [];
  const faults = some(faultKinds, 0.4).filter((kind) => !apart.includes(kind));
  if (workers > 1 && chance.happens(0.3)) faults.push('drain');
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
      plan.push({ at, kind, ms: last(kind), host: chance.between(0, workers - 1) });
    }
  };
  const bad = chance.happens(0.5);
  const odd = (most: number) => (bad && chance.happens(0.6) ? chance.chance() * most : 0);
  return {
    workers,
    jobs: Array.from({ length: chance.between(1, 4) }, (_, i) => jobOf(chance, `j${i}`, workers)),
    weather: {
      ...calm,
      latencyMs: chance.pick([1, 5, 20, 60]),
      refused: odd(0.08),
      lost: odd(0.04),
      replyLost: odd(0.08),
      late: odd(0.06),
      doubled: odd(0.06),
    },
    faults: often(faults, chance.pick([4_000, 10_000, 25_000]), (kind) =>
      kind === 'step'
        ? chance.pick([250, -250, 5_000, -5_000, 360_000, -360_000])
        : kind === 'kill' && chance.happens(0.1)
          ? 0
          : chance.between(...lasts[kind]),
    ),
    acts: often(acts, chance.pick([500, 2_000, 8_000]), () => chance.between(0, 20_000)),
    healAt: length,
  };
}
