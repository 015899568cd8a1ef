import type * as v from 'valibot';
import { type JobId, jobId, namePattern, parseRunId, type RunId, type RunParts } from '#core/model/ids.ts';
import type { JobRecord } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import type { WorkerRecord } from '#core/model/worker.ts';
import type { Entry } from '#core/ports/kv.ts';
import { type Layout, oneLane, splitKey } from './keys.ts';
import {
  CursorValue,
  decode,
  JobValue,
  KillValue,
  OrderValue,
  OwedValue,
  RunningValue,
  WorkerValue,
} from './records.ts';

/**
 * A key of the layout together with what it holds, or why it is none of ours. Both are judged, for a good value under another's key
 * (moved by hand, written by another program) would be taken for what it is not, everywhere its key or its value is believed.
 */
export type ReadKey<T> = ({ ok: true; entry: Entry } & T) | Stranger;

/** What stands in the way of a key's being ours; `problem` is for people. */
export interface Stranger {
  ok: false;
  key: string;
  problem: string;
}

const stranger = ({ key }: Entry, problem: string): Stranger => ({ ok: false, key, problem });
const isName = (text: string | undefined): text is string => text !== undefined && namePattern.test(text);

/** `group/name` below `prefix`, and as many parts behind it. */
function jobAndRest(prefix: string, key: string, parts: number): { job: JobId; rest: string[] } | null {
  const split = splitKey(prefix, key);
  if (split === null || split.rest.length !== parts) return null;
  return split.job.split('/').every(isName) ? split : null;
}

function runParts(run: string): RunParts | null {
  try {
    return parseRunId(run);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return null;
  }
}

function judged<S extends v.GenericSchema, T>(
  schema: S,
  entry: Entry,
  known: (value: v.InferOutput<S>) => T | string,
): ReadKey<T> {
  const read = decode(schema, entry);
  if (!read.ok) return read;
  const made = known(read.value);
  return typeof made === 'string' ? stranger(entry, made) : { ok: true, entry, ...made };
}

export function readJob(layout: Layout, entry: Entry): ReadKey<{ job: JobId; record: JobRecord }> {
  const at = jobAndRest(layout.jobs, entry.key, 0);
  if (at === null) return stranger(entry, 'is not jobs/GROUP/NAME');
  return judged(JobValue, entry, (record) => {
    const named = jobId(record.job.group, record.job.name);
    return named === at.job ? { job: at.job, record } : `holds the job ${named}`;
  });
}

export interface Running {
  job: JobId;
  lane: string;
  run: RunId;
  value: RunningValue;
}

export function readRunning(layout: Layout, entry: Entry): ReadKey<Running> {
  const at = jobAndRest(layout.running, entry.key, 2);
  const [lane = '', run = ''] = at?.rest ?? [];
  const parts = runParts(run);
  const laneOf = parts?.worker ?? oneLane;
  if (at === null || parts === null || jobId(parts.group, parts.name) !== at.job || laneOf !== lane)
    return stranger(entry, 'is not running/GROUP/NAME/LANE/RUN with a run of this job and lane');
  return judged(RunningValue, entry, (value) =>
    value.attempt === parts.attempt
      ? { job: at.job, lane, run, value }
      : `holds attempt ${value.attempt}, and is named for attempt ${parts.attempt}`,
  );
}

export interface Order {
  job: JobId;
  /** With `~worker` where it has one. */
  id: string;
  value: OrderValue;
}

export function readOrder(layout: Layout, entry: Entry): ReadKey<Order> {
  const at = jobAndRest(layout.orders, entry.key, 1);
  const [id = ''] = at?.rest ?? [];
  const [order = '', worker, ...more] = id.split('~');
  const named = /^[A-Za-z0-9._-]+$/.test(order) && (worker === undefined || isName(worker));
  if (at === null || !named || more.length > 0)
    return stranger(entry, 'is not orders/GROUP/NAME/ID or orders/GROUP/NAME/ID~WORKER');
  return judged(OrderValue, entry, (value) =>
    value.kind === 'run' || value.done || (value.next !== null && value.to !== null)
      ? { job: at.job, id, value }
      : `is a ${value.kind} without next and to`,
  );
}

export function readKill(
  layout: Layout,
  entry: Entry,
): ReadKey<{ job: JobId; run: RunId; value: KillValue }> {
  const run = entry.key.slice(layout.kills.length);
  const parts = runParts(run);
  if (parts === null) return stranger(entry, 'is not kills/RUN');
  return judged(KillValue, entry, (value) => ({ job: jobId(parts.group, parts.name), run, value }));
}

export function readWorker(layout: Layout, entry: Entry): ReadKey<{ id: string; record: WorkerRecord }> {
  const id = entry.key.slice(layout.workers.length);
  if (!isName(id)) return stranger(entry, 'is not workers/ID');
  return judged(WorkerValue, entry, (record) =>
    record.id === id ? { id, record } : `holds the worker ${record.id}`,
  );
}

/** The last instant that a date can hold: beyond it nobody could even say when that is. */
const lastMs = 8.64e15;

export function readCursor(
  layout: Layout,
  entry: Entry,
): ReadKey<{ job: JobId; lane: string; value: CursorValue }> {
  const at = jobAndRest(layout.cursors, entry.key, 1);
  const [lane = ''] = at?.rest ?? [];
  if (at === null || (lane !== oneLane && !isName(lane)))
    return stranger(entry, 'is not cursors/GROUP/NAME/LANE');
  return judged(CursorValue, entry, (value) =>
    Math.abs(value.instant) <= lastMs ? { job: at.job, lane, value } : 'instant: is beyond every date',
  );
}

export function readOwed(
  layout: Layout,
  entry: Entry,
): ReadKey<{ run: Run; at: number; by: string; job: JobId }> {
  const id = entry.key.slice(layout.owed.length);
  const parts = runParts(id);
  if (parts === null) return stranger(entry, 'is not owed/RUN');
  return judged(OwedValue, entry, ({ run, at, by }) =>
    run.id === id
      ? { run: blankRun(run as Parameters<typeof blankRun>[0]), at, by, job: jobId(parts.group, parts.name) }
      : `holds the record of ${run.id}`,
  );
}
