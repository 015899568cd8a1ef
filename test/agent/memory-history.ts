import type { Alert } from '#core/model/alert.ts';
import type { RunId } from '#core/model/ids.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import type { History, LogChunk } from '#core/ports/history.ts';

/** The writing half of History, keeping its promises, for tests of who writes to it: it can be away, and it counts. */
export class MemoryHistory implements Pick<History, 'saveRuns' | 'saveLogs' | 'addAlerts'> {
  readonly runs = new Map<RunId, Run>();
  readonly alerts = new Map<string, Alert>();
  readonly chunks = new Map<string, LogChunk>();
  /** Every id in the order it was saved, repeats included. */
  readonly saved: RunId[] = [];
  away: Error | null = null;
  calls = 0;

  async saveRuns(runs: readonly Run[]): Promise<void> {
    this.calls += 1;
    if (this.away) throw this.away;
    for (const run of runs) {
      this.saved.push(run.id);
      const known = this.runs.get(run.id);
      if (known === undefined || !isTerminal(known.state)) this.runs.set(run.id, run);
    }
  }

  async saveLogs(chunks: readonly LogChunk[]): Promise<void> {
    this.calls += 1;
    if (this.away) throw this.away;
    for (const chunk of chunks) {
      const key = `${chunk.run}:${chunk.seq}`;
      if (!this.chunks.has(key)) this.chunks.set(key, { ...chunk, data: Uint8Array.from(chunk.data) });
    }
  }

  async addAlerts(alerts: readonly Alert[]): Promise<void> {
    this.calls += 1;
    if (this.away) throw this.away;
    for (const alert of alerts) if (!this.alerts.has(alert.id)) this.alerts.set(alert.id, alert);
  }

  /** The pieces of a run in order; throws where a number is missing. */
  pieces(run: RunId): LogChunk[] {
    const found = [...this.chunks.values()].filter((chunk) => chunk.run === run);
    found.sort((a, b) => a.seq - b.seq);
    for (const [i, { seq }] of found.entries())
      if (seq !== i) throw new Error(`piece ${i} of ${run} is missing`);
    return found;
  }

  text(run: RunId): string {
    return Buffer.concat(this.pieces(run).map(({ data }) => data)).toString();
  }
}
