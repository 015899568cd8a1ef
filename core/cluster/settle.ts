import { settleVersion } from '#core/decide/due.ts';
import { fits } from '#core/decide/placement.ts';
import { type JobId, jobId } from '#core/model/ids.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Run } from '#core/model/run.ts';
import type { History } from '#core/ports/history.ts';
import { type Compare, type Kv, type Op, prefixRange, type Revision } from '#core/ports/kv.ts';
import type { Schedule } from '#core/schedule/schedule.ts';
import { scheduleOf } from './check-job.ts';
import { type Layout, oneLane } from './keys.ts';
import { owe, stretchRecord } from './owed.ts';
import { type ReadKey, readCursor, readWorker } from './read-key.ts';
import { readMany } from './read-many.ts';
import type { CursorValue, WorkerValue } from './records.ts';

/** Who decided, where it was a save. */
const by = 'api';
/** All of it is part of the save's own transaction, which holds 128 operations. */
export const mostSettled = 100;
/** As long as a cursor outlives its job: who has been gone for longer is not expected back. */
const goneMs = 86_400_000;

/** What of the store says how far each lane of a job is. */
export interface Lanes {
  cursors: readonly ReadKey<{ lane: string; value: CursorValue }>[];
  /** Looked up for mode all, where each registered worker that fits is a lane; and that none has come since. */
  workers: readonly WorkerValue[];
  noneCame: Compare | null;
}

/** Of a job that is new, or of which nothing ends. */
export const noLanes: Lanes = { cursors: [], workers: [], noneCame: null };

/** What goes into the transaction that ends a version of a job. */
export interface Settlement {
  /** That nobody has decided in a lane of which something is settled here, and no lane has come to be. */
  judgedOn: Compare[];
  ops: Op[];
  owed: Run[];
  /** Of more lanes than one transaction holds, at a delete: these come first, by themselves, and nobody is left who would know of the rest. */
  isPart: boolean;
}

export const nothingToSettle: Settlement = { judgedOn: [], ops: [], owed: [], isPart: false };

/** Reads the lanes of these jobs, some hundred in one request. */
export async function readLanes(
  kv: Kv,
  layout: Layout,
  records: readonly JobRecord[],
): Promise<Map<JobId, Lanes>> {
  const ids = records.map(({ job }) => jobId(job.group, job.name));
  const found = await readMany(
    kv,
    ids.map((id) => prefixRange(layout.cursorsOf(id))),
  );
  const known = ids.map((id, at) => [id, (found[at] ?? []).map((one) => readCursor(layout, one))] as const);
  if (!records.some(({ job }) => job.mode === 'all'))
    return new Map(known.map(([id, cursors]) => [id, { ...noLanes, cursors }]));
  const range = prefixRange(layout.workers);
  const { entries, revision } = await kv.range(range);
  const workers = entries.flatMap((entry) => {
    const read = readWorker(layout, entry);
    return read.ok ? [read.record] : [];
  });
  const noneCame: Compare = { ...range, target: 'mod', op: '<', revision: String(BigInt(revision) + 1n) };
  return new Map(known.map(([id, cursors]) => [id, { cursors, workers, noneCame }]));
}

interface Lane {
  lane: string;
  cursor: number | null;
  mod: Revision;
  /** Mode all: since when its worker is there. */
  since: number;
}

/** In mode all also lanes whose worker is gone for the moment: it would have come back to them. */
function lanesOf({ job }: JobRecord, known: readonly Lane[], { workers }: Lanes, now: number): Lane[] {
  const laneOf = (lane: string, since: number): Lane =>
    known.find((one) => one.lane === lane) ?? { lane, cursor: null, mod: '0', since };
  if (job.mode === 'one') return [laneOf(oneLane, 0)];
  const registered = new Set(workers.map((worker) => worker.id));
  const named = job.target.workers;
  const gone = known.filter(
    ({ lane, cursor }) =>
      lane !== oneLane &&
      !registered.has(lane) &&
      (named.length === 0 || named.includes(lane)) &&
      now - (cursor ?? 0) < goneMs,
  );
  return [
    ...workers.filter((worker) => fits(job, worker)).map(({ id, since }) => laneOf(id, since)),
    ...gone,
  ];
}

/** What can't be read tells nothing: null then. */
function cursorsOf({ cursors }: Lanes): Lane[] | null {
  const known: Lane[] = [];
  for (const read of cursors) {
    if (!read.ok) return null;
    known.push({ lane: read.lane, cursor: read.value.instant, mod: read.entry.mod, since: 0 });
  }
  return known;
}

/** Null: none that this version of cronfleet can read. */
function readable(job: Job): { schedule: Schedule | null } | null {
  try {
    return { schedule: scheduleOf(job) };
  } catch (error) {
    // It was another version's. No agent of this one takes it for a job, and it may be put right or deleted all the same.
    if (!(error instanceof Refusal)) throw error;
    return null;
  }
}

/** Whether the next version of a job of mode all has this lane no more. */
function isLeftOut(lane: string, next: Job, { workers }: Lanes): boolean {
  const worker = workers.find(({ id }) => id === lane);
  const named = next.target.workers;
  return worker === undefined ? named.length > 0 && !named.includes(lane) : !fits(next, worker);
}

/**
 * What is due up to `until` (now) and undecided when `record` comes to its end, with a record for each lane's; null: that can't be told, or is
 * of more lanes than one transaction holds. `next`: only the lanes that this version leaves out come to their end. Cursors are left alone
 * where a floor, or what the job says is settled, stands above that.
 */
export function settle(
  layout: Layout,
  record: JobRecord,
  lanes: Lanes,
  end: { why: 'edited' | 'disabled' | 'deleted'; until?: number; now: number; next?: Job },
): Settlement | null {
  const { job } = record;
  const { now, until = now, why, next } = end;
  const id = jobId(job.group, job.name);
  const known = cursorsOf(lanes);
  const read = readable(job);
  if (known === null || read === null) return null;
  const { schedule } = read;
  const { noneCame } = lanes;
  const judgedOn = job.mode === 'all' && schedule !== null && noneCame !== null ? [noneCame] : [];
  const settlement: Settlement = { judgedOn, ops: [], owed: [], isPart: false };
  for (const { lane, cursor, mod, since } of lanesOf(record, known, lanes, now)) {
    if (next !== undefined && !isLeftOut(lane, next, lanes)) continue;
    // As its decider would (verdictOf in the planner): a lane of a worker's own begins when that came.
    const { floor, createdAt } = record;
    const seen =
      cursor === null
        ? { ...record, floor: Math.max(floor, since), createdAt: Math.max(createdAt, since) }
        : record;
    const stretches = settleVersion({ record: seen, schedule, cursor, now: until }, why);
    // What protects that earlier saves have settled goes with the job. One that is as it was made has nothing to protect.
    const reached = Math.max(record.settled ?? 0, seen.floor);
    const bares = why === 'deleted' && reached > Math.max(seen.createdAt, cursor ?? 0);
    if (stretches.length === 0 && !bares) continue;
    const key = layout.cursor(id, lane);
    const worker = lane === oneLane ? null : lane;
    const owed = stretches.map((one) => stretchRecord(job, lane, one, { worker, at: now }));
    const ops = owed.map((run) => owe(layout, run, now, by));
    // Else a job made anew in the same moment, by a clock a little behind, would run once more what is settled; and a lane of a worker's
    // own, where it comes to be one again, would go on from when that came, or from where it was.
    const last = Math.max(stretches.at(-1)?.until ?? 0, bares ? reached : 0);
    if (why === 'deleted' || next !== undefined || (job.mode === 'all' && cursor === null))
      ops.push(put(key, { instant: last, from: by, why, run: null } satisfies CursorValue));
    if (settlement.ops.length + ops.length > mostSettled)
      return why === 'deleted' ? { ...settlement, isPart: true } : null;
    settlement.judgedOn.push({ key, target: 'mod', op: '=', revision: mod });
    settlement.ops.push(...ops);
    settlement.owed.push(...owed);
  }
  return settlement;
}

const put = (key: string, value: unknown): Op => ({ type: 'put', key, value: JSON.stringify(value) });

/** Gives History what a settlement owes it, and takes that out of the store again. Any number may do it at once: a record is known by its id. */
export async function payOwed(
  { kv, layout, history }: { kv: Kv; layout: Layout; history: Pick<History, 'saveRuns'> },
  owed: readonly Run[],
): Promise<void> {
  for (let from = 0; from < owed.length; from += mostSettled) {
    const some = owed.slice(from, from + mostSettled);
    await history.saveRuns(some);
    await kv.txn({ compare: [], then: some.map(({ id }) => ({ type: 'delete', key: layout.owing(id) })) });
  }
}
