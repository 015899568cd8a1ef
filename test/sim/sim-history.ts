import type { RunId } from '#core/model/ids.ts';
import { isTerminal, type Run } from '#core/model/run.ts';

/** History's promise about records, as plain as it can be said: the judge of the simulation reads this. */
export class SimHistory {
  readonly records = new Map<RunId, Run>();
  down = false;
  /** How long it takes at most, ms. */
  takesMs = 25;
  /** Runs whose terminal record was replaced by another. */
  readonly overwritten: RunId[] = [];
  /** A mistake for a test: the last terminal record wins. */
  lastWins = false;

  save(runs: readonly Run[]): void {
    for (const run of runs) {
      const known = this.records.get(run.id);
      if (known !== undefined && isTerminal(known.state) && this.lastWins && known.state !== run.state)
        this.overwritten.push(run.id);
      if (known === undefined || !isTerminal(known.state) || this.lastWins) this.records.set(run.id, run);
      else if (isTerminal(run.state) && JSON.stringify({ ...known, also: null }) !== JSON.stringify(run))
        this.records.set(run.id, { ...known, also: run });
    }
  }
}
