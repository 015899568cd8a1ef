import type { JobId, RunId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';
import {
  type Compare,
  type Entry,
  type Op,
  type OpResult,
  prefixRange,
  type Revision,
} from '#core/ports/kv.ts';
import type { Piece } from './batch.ts';
import type { Layout } from './keys.ts';
import { owe } from './owed.ts';
import type { CursorValue, OrderValue, RunningValue } from './records.ts';

/** A nested transaction may put at most this many owed records: the path's operations are bounded (see batch.ts). */
export const maxOwed = 20;

/** What a claim or a decision about a lane was judged on. */
export interface LaneBasis {
  job: JobId;
  lane: string;
  /** mod revision of the cursor as seen; '0': none. */
  cursorMod: Revision;
  /** mod revision of jobs/<job> as seen. */
  jobMod: Revision;
}

const put = (key: string, value: unknown): Op => ({ type: 'put', key, value: JSON.stringify(value) });
const is = (key: string, target: 'mod' | 'create', revision: Revision): Compare => ({
  key,
  target,
  op: '=',
  revision,
});

/** The lane lives: someone's run is claimed, running or waits for its retry. */
function lives(layout: Layout, job: JobId, lane: string): Compare {
  return { ...prefixRange(layout.runningLane(job, lane)), target: 'create', op: '>', revision: '0' };
}

function empty(layout: Layout, job: JobId, lane: string): Compare {
  return { ...prefixRange(layout.runningLane(job, lane)), target: 'create', op: '=', revision: '0' };
}

function owing(layout: Layout, records: readonly Run[], at: number, by: string): Op[] {
  return records.map((run) => owe(layout, run, at, by));
}

/**
 * Of a lane no more than so many keys are told at once: thousands may wait there for their next attempt, and an answer beyond what a
 * client takes would keep its job from being decided at all.
 */
const laneMost = 100;

function someOf(layout: Layout, job: JobId, lane: string): Op {
  return { type: 'range', limit: laneMost, ...prefixRange(layout.runningLane(job, lane)) };
}

function sees(layout: Layout, job: JobId, lane: string): Op[] {
  return [{ type: 'range', key: layout.cursor(job, lane) }, someOf(layout, job, lane)];
}

/** The lane as it is: `readLane` reads the answer. */
export function lookAtLane(layout: Layout, job: JobId, lane: string): Piece {
  return { job, txn: { compare: [], then: sees(layout, job, lane) } };
}

/** What a refused claim or decision, or a look, answers: the cursor, some of what lives, and the key that was to be made, if it stands. */
export function readLane(results: readonly OpResult[]): {
  cursor: Entry | null;
  running: Entry[];
  own: Entry | null;
} {
  const [cursor, running, own] = results;
  return {
    cursor: cursor?.type === 'range' ? (cursor.entries[0] ?? null) : null,
    running: running?.type === 'range' ? running.entries : [],
    own: own?.type === 'range' ? (own.entries[0] ?? null) : null,
  };
}

/** Becomes the only one who may start this instant. Refused, it answers with the lane (`readLane`). */
export function claimInstant(
  layout: Layout,
  basis: LaneBasis,
  claim: { run: RunId; overlaps: boolean; cursor: CursorValue; running: RunningValue; owed: readonly Run[] },
): Piece {
  const { job, lane } = basis;
  return {
    job,
    under: claim.running.incarnation,
    txn: {
      compare: [
        is(layout.cursor(job, lane), 'mod', basis.cursorMod),
        is(layout.job(job), 'mod', basis.jobMod),
        ...(claim.overlaps ? [] : [empty(layout, job, lane)]),
      ],
      then: [
        put(layout.cursor(job, lane), claim.cursor),
        put(layout.run(job, lane, claim.run), claim.running),
        ...owing(layout, claim.owed, claim.running.at, claim.running.worker),
      ],
      else: [...sees(layout, job, lane), { type: 'range', key: layout.run(job, lane, claim.run) }],
    },
  };
}

/** Decides instants without a run: skipped, missed, settled. `becauseAlive`: only while a run of the lane lives. */
export function decideWithout(
  layout: Layout,
  basis: LaneBasis,
  decision: { cursor: CursorValue; owed: readonly Run[]; at: number; becauseAlive: boolean },
): Piece {
  const { job, lane } = basis;
  return {
    job,
    txn: {
      compare: [
        is(layout.cursor(job, lane), 'mod', basis.cursorMod),
        is(layout.job(job), 'mod', basis.jobMod),
        ...(decision.becauseAlive ? [lives(layout, job, lane)] : []),
      ],
      then: [
        put(layout.cursor(job, lane), decision.cursor),
        ...owing(layout, decision.owed, decision.at, decision.cursor.from),
      ],
      else: sees(layout, job, lane),
    },
  };
}

/** Hands a whole backlog to an order that runs it one after the other. */
export function catchUpAll(
  layout: Layout,
  basis: LaneBasis,
  decision: { cursor: CursorValue; owed: readonly Run[]; at: number; order: string; value: OrderValue },
): Piece {
  const { job } = basis;
  const piece = decideWithout(layout, basis, { ...decision, becauseAlive: false });
  return {
    job,
    txn: { ...piece.txn, then: [...piece.txn.then, put(layout.order(job, decision.order), decision.value)] },
  };
}

/** What a claim of an order was judged on. */
export interface OrderBasis {
  job: JobId;
  lane: string;
  /** The order's id, with `~worker` where it has one. */
  order: string;
  orderMod: Revision;
  jobMod: Revision;
}

/** Takes an order's run, or its next. Refused, it answers with order and lane (`readOrder`). */
export function claimOrder(
  layout: Layout,
  basis: OrderBasis,
  claim: { run: RunId; overlaps: boolean; running: RunningValue; order: OrderValue },
): Piece {
  const { job, lane } = basis;
  return {
    job,
    under: claim.running.incarnation,
    txn: {
      compare: [
        is(layout.order(job, basis.order), 'mod', basis.orderMod),
        is(layout.job(job), 'mod', basis.jobMod),
        ...(claim.overlaps ? [] : [empty(layout, job, lane)]),
      ],
      then: [
        put(layout.run(job, lane, claim.run), claim.running),
        put(layout.order(job, basis.order), claim.order),
      ],
      else: [
        { type: 'range', key: layout.order(job, basis.order) },
        someOf(layout, job, lane),
        { type: 'range', key: layout.run(job, lane, claim.run) },
      ],
    },
  };
}

/** Ends an order (expired, cancelled, or its next instant passed over) with what is owed for it. */
export function settleOrder(
  layout: Layout,
  basis: Pick<OrderBasis, 'job' | 'order' | 'orderMod'>,
  settled: { order: OrderValue; owed: readonly Run[]; at: number; by: string },
): Piece {
  const key = layout.order(basis.job, basis.order);
  return {
    job: basis.job,
    txn: {
      compare: [is(key, 'mod', basis.orderMod)],
      then: [put(key, settled.order), ...owing(layout, settled.owed, settled.at, settled.by)],
      else: [{ type: 'range', key }],
    },
  };
}

/** A waiting attempt becomes mine to start. Refused, it answers with the running key. */
export function claimRetry(
  layout: Layout,
  basis: { job: JobId; lane: string; run: RunId; runningMod: Revision; jobMod: Revision },
  running: RunningValue,
): Piece {
  const key = layout.run(basis.job, basis.lane, basis.run);
  return {
    job: basis.job,
    under: running.incarnation,
    txn: {
      compare: [is(key, 'mod', basis.runningMod), is(layout.job(basis.job), 'mod', basis.jobMod)],
      then: [put(key, running)],
      else: [{ type: 'range', key }],
    },
  };
}
