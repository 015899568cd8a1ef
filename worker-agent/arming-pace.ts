/** What a wrapper takes at least to be armed, ms, on a small host that has nothing else to do. */
const leastPerRunMs = 4;
/** How much each says of the next: a single one that came at a bad moment says little, ten together a fifth. */
const share = 0.02;
/** What is claimed and late is to start within this: a deputy looks no sooner. */
const soonMs = 250;
/** One armed by itself costs more than several together; and a request takes so many claims. */
const least = 8;
const most = 100;

/** How long arming a run has taken of late, in real time: what else the host does is in it. */
export interface ArmingPace {
  perRunMs(): number;
  note(runs: number, tookMs: number): void;
}

export function createArmingPace(): ArmingPace {
  let perRunMs = leastPerRunMs;
  return {
    perRunMs: () => perRunMs,
    note(runs, tookMs) {
      if (runs === 0) return;
      const weight = 1 - (1 - share) ** runs;
      perRunMs = Math.max(leastPerRunMs, perRunMs + weight * (tookMs / runs - perRunMs));
    },
  };
}

/**
 * How many runs whose time has come may be claimed and not started yet. More would only wait, claimed, where nobody else can have them; and
 * with each second that a job waits unclaimed its older instants are decided by one transaction and not by runs of their own.
 */
export function startsAtOnce(perRunMs: number): number {
  return Math.min(Math.max(Math.floor(soonMs / perRunMs), least), most);
}
