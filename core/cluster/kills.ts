import { jobId, parseRunId, type RunId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import { type Entry, prefixRange } from '#core/ports/kv.ts';
import type { JobStore } from './jobs.ts';
import { oneLane } from './keys.ts';
import { decode, KillValue, RunningValue } from './records.ts';

/** A kill that nobody has carried out is forgotten after a day. */
const killExpiresMs = 86_400_000;

export interface AskedKill {
  by: string;
  signal: string | null;
  graceMs: number | null;
}

/**
 * Asks that one run be killed; asked twice it is once. `known` is what History has of it. Refusals: `run_not_found`, `run_ended`.
 * Gives the request that stands, or null: it had been killed before.
 */
export async function askKill(
  { kv, layout, now }: JobStore,
  run: RunId,
  known: Run | null,
  asked: AskedKill,
): Promise<KillValue | null> {
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
  if (answer.succeeded) return value;
  const [seen] = answer.results;
  const standing = seen?.type === 'range' ? seen.entries[0] : undefined;
  const read = standing === undefined ? null : decode(KillValue, standing);
  if (read?.ok) return read.value;
  if (known?.state === 'killed') return null;
  if (known !== null && isTerminal(known.state))
    throw new Refusal(
      'run_ended',
      `run: ${run} has ended already: ${known.state}${known.reason ? ` (${known.reason})` : ''}`,
    );
  throw new Refusal('run_not_found', `run: there is no living run ${JSON.stringify(run)}`);
}

export interface HeldKey {
  run: RunId;
  lane: string;
  entry: Entry;
  value: RunningValue;
}

/** The living runs of a job, as their keys tell. */
export async function livingRuns({ kv, layout }: JobStore, job: string): Promise<HeldKey[]> {
  const prefix = layout.runningJob(job);
  const { entries } = await kv.range(prefixRange(prefix), { limit: 1_000 });
  return entries.flatMap((entry) => {
    const [lane = oneLane, run = ''] = entry.key.slice(prefix.length).split('/');
    const read = decode(RunningValue, entry);
    return read.ok ? [{ run, lane, entry, value: read.value }] : [];
  });
}
