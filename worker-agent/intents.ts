import type { Batcher } from '#core/cluster/batch.ts';
import type { Layout } from '#core/cluster/keys.ts';
import type { JobId, RunId } from '#core/model/ids.ts';
import type { Entry, OpResult, Revision } from '#core/ports/kv.ts';
import { type Guard, times } from './context.ts';
import type { Timeline } from './timeline.ts';

/** A claim that somebody may still commit, though its sender was told no. */
export interface Intent {
  job: JobId;
  lane: string;
  run: RunId;
  /** The cursor or order that the claim moves, and its mod revision as the claim compares it. */
  moves: { key: string; mod: Revision };
  jobMod: Revision;
}

const longestWaitMs = 60_000;

/**
 * Claims whose outcome was unknown at least once and that were refused when repeated: the first try may be on its way still, and
 * commit when what refused the repeat is gone. Each stays open until what it compares has moved, which ends it for good; a key
 * that it has made by then is taken up.
 */
export function createIntents(deps: {
  layout: Layout;
  reads: Batcher;
  timeline: Timeline;
  guard: Guard;
  /** A running key under my name that I may know nothing of. */
  found(entry: Entry): void;
}) {
  const { layout, reads, timeline, guard } = deps;

  function look(intent: Intent, waitMs: number): void {
    timeline.in(waitMs, () => guard('intent', read(intent, waitMs)));
  }

  async function read(intent: Intent, waitMs: number): Promise<void> {
    const { job, lane, run, moves, jobMod } = intent;
    const keys = [moves.key, layout.job(job), layout.run(job, lane, run)];
    const result = await reads.submit({
      job,
      txn: { compare: [], then: keys.map((key) => ({ type: 'range', key })) },
    });
    const seen = result.outcome === 'done' ? result.results.map(only) : null;
    if (seen === null || ((seen[0]?.mod ?? '0') === moves.mod && (seen[1]?.mod ?? '0') === jobMod))
      return look(intent, Math.min(2 * waitMs, longestWaitMs));
    if (seen[2] !== null && seen[2] !== undefined) deps.found(seen[2]);
  }

  return {
    /** Watches over a claim that was not taken, as far as its sender knows. */
    keep: (intent: Intent) => look(intent, times.margin),
  };
}
export type Intents = ReturnType<typeof createIntents>;

function only(result: OpResult): Entry | null {
  return result.type === 'range' ? (result.entries[0] ?? null) : null;
}
