import { durationMs } from '#core/model/duration.ts';
import {
  instantText,
  type JobId,
  jobId,
  parseInstantText,
  parseRunId,
  type RunId,
  runId,
} from '#core/model/ids.ts';
import { blankRun, isTerminal, type Run, type Trigger } from '#core/model/run.ts';
import type { History } from '#core/ports/history.ts';
import type { Entry, Revision } from '#core/ports/kv.ts';
import { settleOrder } from './claim.ts';
import type { JobStore } from './job-record.ts';
import { getJob } from './jobs.ts';
import { oneLane } from './keys.ts';
import { runOfKey, withKill } from './kills.ts';
import { readKill, readOrder, readOwed, readRunning } from './read-key.ts';
import { readMany } from './read-many.ts';
import type { OrderValue } from './records.ts';

/** An order of which this run has not been taken yet. */
export interface Untaken {
  job: JobId;
  /** The order's id, with `~worker` where it has one. */
  id: string;
  value: OrderValue;
  mod: Revision;
}

export interface FoundRun {
  run: Run;
  /** Set where there is no more of the run than this. */
  order: Untaken | null;
}

const triggers: Record<OrderValue['kind'], Trigger> = {
  run: 'manual',
  backfill: 'backfill',
  'catch-up': 'catch-up',
};

/**
 * A run, wherever it stands: its order, its key, what is owed of it, History; null when nobody knows it. The store is read first: a
 * key goes only after History has the record, or with an owed one in its place. Refusal `run_id_invalid`.
 */
export async function findRun(
  store: JobStore,
  history: Pick<History, 'run'>,
  id: RunId,
): Promise<FoundRun | null> {
  const { group, name, worker, cause, attempt } = parseRunId(id);
  const job = jobId(group, name);
  const lane = worker ?? oneLane;
  const [, orderId = '', instantPart] = /^([^.]+)(?:\.(.+))?$/.exec(cause) ?? [];
  const order = worker === null ? orderId : `${orderId}~${worker}`;
  const { layout } = store;
  const [[running], [owed], [ordered], [asked]] = (await readMany(store.kv, [
    { key: layout.run(job, lane, id) },
    { key: layout.owing(id) },
    { key: layout.order(job, order) },
    { key: layout.kill(id) },
  ])) as [Entry[], Entry[], Entry[], Entry[]];

  const key = running && readRunning(layout, running);
  const owing = owed && readOwed(layout, owed);
  const read = ordered && readOrder(layout, ordered);
  const untaken =
    read?.ok && attempt === 1 && waits(read.value, instantPart ?? null)
      ? { job, id: order, value: read.value, mod: read.entry.mod }
      : null;
  const known = await history.run(id).catch((error: unknown) => {
    // What lives, or waits, is to be seen, and killed, while History is away.
    if (key?.ok || owing?.ok || untaken !== null) return null;
    throw error;
  });
  const kill = asked && readKill(layout, asked);
  const standing = kill?.ok ? kill.value : null;
  if (known !== null && isTerminal(known.state)) return { run: withKill(known, standing), order: null };
  if (key?.ok) {
    const run = known ?? runOfKey({ run: id, lane, entry: key.entry, value: key.value });
    return { run: withKill(run, standing), order: null };
  }
  if (owing?.ok) return { run: owing.run, order: null };
  if (known !== null) return { run: withKill(known, standing), order: null };
  return untaken === null ? null : { run: runOfOrder(id, untaken), order: untaken };
}

/** Whether this order has yet to come to that instant (null: a run now). */
function waits({ kind, done, next, to }: OrderValue, instantPart: string | null): boolean {
  if (done || (kind === 'run') !== (instantPart === null)) return false;
  if (instantPart === null) return true;
  const instant = parseInstantText(instantPart);
  return instant !== null && next !== null && to !== null && next <= instant && instant <= to;
}

function runOfOrder(id: RunId, { value }: Untaken): Run {
  const { group, name, cause } = parseRunId(id);
  const instant = value.kind === 'run' ? null : parseInstantText(cause.slice(cause.indexOf('.') + 1));
  const { by, at, worker } = value;
  const reason = 'ordered; no worker has taken it yet';
  return blankRun({
    ...{ id, group, name, state: 'waiting', reason, instant, worker, by },
    ...{ trigger: triggers[value.kind], plannedAt: instant ?? at },
  });
}

/**
 * Takes an order back that nobody has taken yet; of a backfill what is left of it. Gives the record, which is owed until
 * `settle` says that History has it, or null: somebody was faster.
 */
export async function cancelOrder(
  store: JobStore,
  order: Untaken,
  by: string,
): Promise<{ record: Run; settle(): Promise<void> } | null> {
  const { job, id, mod, value } = order;
  const at = store.now();
  const [orderId = '', worker = null] = id.split('~');
  const first = value.kind === 'run' || value.next === null ? null : value.next;
  const cause = first === null ? orderId : `${orderId}.${instantText(first)}`;
  const [group = '', name = ''] = job.split('/');
  const run = runId({ group, name, cause, attempt: 1, worker });
  const spec = (await getJob(store, job))?.record.job ?? null;
  const record: Run = {
    ...runOfOrder(run, order),
    ...{ state: 'cancelled', reason: `${by} asked that it be killed before it started`, endedAt: at },
    until: first !== null && value.to !== null && value.to !== first ? value.to : null,
    kill: { by, requestedAt: at, signalledAt: null, confirmedAt: at, certain: true },
    expireAt: at + durationMs(spec?.retention ?? '30d'),
  };
  const settled = { order: { ...value, next: null, done: true }, owed: [record], at, by };
  const { txn } = settleOrder(store.layout, { job, order: id, orderMod: mod }, settled);
  if (!(await store.kv.txn(txn)).succeeded) return null;
  const key = store.layout.owing(record.id);
  return {
    record,
    async settle() {
      await store.kv.txn({ compare: [], then: [{ type: 'delete', key }] });
    },
  };
}
