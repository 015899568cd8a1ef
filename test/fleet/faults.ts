import type { Chance } from '#test/sim/chance.ts';

export type FaultKind =
  | 'agent-kill'
  | 'agent-pause'
  | 'agent-cut-both'
  | 'agent-cut-answers'
  | 'agent-cut-requests'
  | 'agent-stop'
  | 'agent-unplugged'
  | 'member-kill'
  | 'member-pause'
  | 'leader-kill'
  | 'leader-pause'
  | 'quorum-loss'
  | 'history-kill'
  | 'server-kill';

export interface Fault {
  /** ms after the beginning. */
  at: number;
  kind: FaultKind;
  lasts: number;
  /** Which agent, member or server, counted round. */
  who: number;
}

/** How long each lasts, ms. Pauses go beyond the lease's 10 s, and beyond three of them. */
const lasts: Record<FaultKind, readonly [number, number]> = {
  'agent-kill': [0, 8_000],
  'agent-pause': [1_000, 32_000],
  'agent-cut-both': [1_000, 20_000],
  'agent-cut-answers': [1_000, 20_000],
  'agent-cut-requests': [1_000, 20_000],
  'agent-stop': [0, 6_000],
  'agent-unplugged': [1_000, 20_000],
  'member-kill': [500, 8_000],
  'member-pause': [500, 8_000],
  'leader-kill': [500, 5_000],
  'leader-pause': [500, 8_000],
  'quorum-loss': [2_000, 15_000],
  'history-kill': [500, 12_000],
  'server-kill': [0, 4_000],
};
const kinds = Object.keys(lasts) as [FaultKind, ...FaultKind[]];

/** The faults of one seed, in order. All of them are over at `ms`. */
export function faultsOf(chance: Chance, ms: number, meanMs: number): Fault[] {
  const faults: Fault[] = [];
  let at = 3_000;
  while (at < ms) {
    const kind = chance.pick(kinds);
    const long = chance.between(...lasts[kind]);
    faults.push({ at, kind, lasts: Math.min(long, ms - at), who: chance.between(0, 59) });
    at += Math.ceil(-Math.log(1 - chance.chance()) * meanMs);
  }
  return faults;
}
