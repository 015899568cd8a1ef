import type { Batcher } from '#core/cluster/batch.ts';
import type { Layout } from '#core/cluster/keys.ts';
import { decode, RunningValue } from '#core/cluster/records.ts';
import type { JobId, RunId } from '#core/model/ids.ts';
import type { Entry, OpResult, Revision } from '#core/ports/kv.ts';
import { type AgentSettings, type Guard, times } from './context.ts';
import type { Runs } from './runs.ts';
import type { Timeline } from './timeline.ts';

/** A claim, or a taking over, that somebody may have committed or still commit, though its sender was told no. */
export interface Intent {
  job: JobId;
  lane: string;
  run: RunId;
  /** The cursor, order or running key that it moves, and its mod revision as it compares it. */
  moves: { key: string; mod: Revision };
  /** null: it does not compare the job. */
  jobMod: Revision | null;
}

const longestWaitMs = 60_000;

/**
 * Claims whose outcome was unknown at least once and that were refused when repeated: the first try may be on its way still, and
 * commit when what refused the repeat is gone. Each stays open until what it compares has moved, which ends it for good, and a key
 * that it has made by then is taken up: under my name nobody else ever touches it.
 */
export function createIntents(deps: {
  layout: Layout;
  reads: Batcher;
  timeline: Timeline;
  guard: Guard;
  settings: Pick<AgentSettings, 'id'>;
  runs: Pick<Runs, 'knows'>;
  /** A running key under my name that I may know nothing of. */
  found(entry: Entry): void;
}) {
  const { layout, reads, timeline, guard, settings, runs } = deps;

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
    const later = () => look(intent, Math.min(2 * waitMs, longestWaitMs));
    if (result.outcome !== 'done') return later();
    const [moved, jobs, made] = result.results.map(only);
    const jobStands = jobMod === null || (jobs?.mod ?? '0') === jobMod;
    if ((moved?.mod ?? '0') === moves.mod && jobStands) return later();
    if (made == null || runs.knows(run)) return;
    deps.found(made);
    // Taken up it is not as long as this worker's lease is unsure.
    const read = decode(RunningValue, made);
    if (read.ok && read.value.worker === settings.id) later();
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
