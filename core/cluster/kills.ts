import { type JobId, jobId, parseRunId, type RunId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun, isTerminal, type Kill, type Run } from '#core/model/run.ts';
import { type Entry, prefixRange } from '#core/ports/kv.ts';
import type { JobStore } from './job-record.ts';
import { oneLane } from './keys.ts';
import { readRunning } from './read-key.ts';
import { readMany } from './read-many.ts';
import { decode, KillValue, type RunningValue } from './records.ts';

/** A kill that nobody has carried out is forgotten after a day. */
const killExpiresMs = 86_400_000;

export interface AskedKill {
  by: string;
  signal: string | null;
  graceMs: number | null;
}

/** The request that stands, if any, and whether this one made it. */
export interface KillAnswer {
  standing: KillValue | null;
  fresh: boolean;
}

/**
 * Asks that one run be killed; asked twice it is once, also where it has ended so. `known` is what History has of it. Refusals:
 * `run_not_found`, `run_ended`.
 */
export async function askKill(
  { kv, layout, now }: JobStore,
  run: RunId,
  known: Run | null,
  asked: AskedKill,
): Promise<KillAnswer> {
  const { group, name, worker } = parseRunId(run);
  const running = layout.run(jobId(group, name), worker ?? oneLane, run);
  const key = layout.kill(run);
  const at = now();
  const value: KillValue = {
    ...asked,
    at,
    expiresAt: at + killExpiresMs,
    signalledAt: null,
    confirmedAt: null,
  };
  const lives = { key: running, target: 'create' as const, op: '>' as const, revision: '0' };
  const absent = { key, target: 'create' as const, op: '=' as const, revision: '0' };
  const answer = await kv.txn({
    compare: known?.state === 'lost' ? [absent] : [lives, absent],
    then: [{ type: 'put', key, value: JSON.stringify(value) }],
    else: [{ type: 'range', key }],
  });
  if (answer.succeeded) return { standing: value, fresh: true };
  const [seen] = answer.results;
  const standing = seen?.type === 'range' ? seen.entries[0] : undefined;
  const read = standing === undefined ? null : decode(KillValue, standing);
  if (read?.ok) return { standing: read.value, fresh: false };
  if (known?.state === 'killed' || known?.state === 'cancelled') return { standing: null, fresh: false };
  if (known !== null && isTerminal(known.state))
    throw new Refusal(
      'run_ended',
      `run: ${run} has ended already: ${known.state}${known.reason ? ` (${known.reason})` : ''}`,
    );
  throw new Refusal('run_not_found', `run: there is no living run ${JSON.stringify(run)}`);
}

/**
 * The run with the request that stands, as far as its record does not tell yet: the worker may not have heard of it, or the record
 * that says so may be under way. One that ended otherwise than by it is left as it is; a lost one may live, and be killed.
 */
export function withKill(run: Run, standing: KillValue | null): Run {
  if (standing === null || (isTerminal(run.state) && run.state !== 'lost')) return run;
  const { by, at, signalledAt, confirmedAt } = standing;
  const known = run.kill ?? run.also?.kill ?? null;
  const kill: Kill = {
    ...{ by, requestedAt: at, certain: known?.certain ?? null },
    signalledAt: known?.signalledAt ?? signalledAt,
    confirmedAt: known?.confirmedAt ?? confirmedAt,
  };
  return { ...run, kill };
}

export interface HeldKey {
  run: RunId;
  lane: string;
  entry: Entry;
  value: RunningValue;
}

/** The living runs of a job, as their keys tell. */
export async function livingRuns(store: JobStore, job: JobId): Promise<HeldKey[]> {
  const [held = []] = await livingRunsOf(store, [job]);
  return held;
}

/** Runs of one job that are looked at; more live at once only where overlap is `allow` and something is wrong. */
const mostLiving = 1_000;

/** The living runs of many jobs, job by job, in few requests. */
export async function livingRunsOf({ kv, layout }: JobStore, jobs: readonly JobId[]): Promise<HeldKey[][]> {
  const found = await readMany(
    kv,
    jobs.map((job) => prefixRange(layout.runningJob(job))),
    mostLiving,
  );
  return found.map((entries) =>
    entries.flatMap((entry) => {
      const read = readRunning(layout, entry);
      return read.ok ? [read] : [];
    }),
  );
}

/** What a running key alone tells of its run. */
export function runOfKey({ run, entry, value }: HeldKey): Run {
  const { group, name } = parseRunId(run);
  const { state, instant, attempt, trigger, worker, incarnation, by } = value;
  return blankRun({
    ...{ id: run, group, name, state, instant, attempt, trigger, worker, incarnation, by },
    plannedAt: instant ?? value.notBefore,
    claimedAt: state === 'claimed' ? value.at : null,
    fence: entry.create,
  });
}
