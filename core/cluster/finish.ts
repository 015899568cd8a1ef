import type { JobId, RunId } from '#core/model/ids.ts';
import type { Run } from '#core/model/run.ts';
import type { Op, Revision } from '#core/ports/kv.ts';
import type { Piece } from './batch.ts';
import type { Layout } from './keys.ts';
import { owe } from './owed.ts';
import type { KillValue, RunningValue } from './records.ts';

/** A running key as its holder last saw it. */
export interface RunBasis {
  job: JobId;
  lane: string;
  run: RunId;
  /** Its mod revision: whoever moved it since holds it. */
  mod: Revision;
}

/** The attempt that follows, put as waiting by whoever ends the one before, so that it is never in one memory only. */
export interface Following {
  run: RunId;
  running: RunningValue;
}

/**
 * Ends a run that is mine: its key and its kill go, the next attempt waits, and the record is owed where History
 * has not answered yet. Refused, it answers with its key and that of the next attempt, as they stand: the key gone means that somebody closed it, or that a
 * repeat finds its own first try.
 */
export function finish(
  layout: Layout,
  basis: RunBasis,
  end: { next: Following | null; owed: Run | null; at: number; by: string },
): Piece {
  const key = layout.run(basis.job, basis.lane, basis.run);
  return {
    job: basis.job,
    txn: {
      compare: [{ key, target: 'mod', op: '=', revision: basis.mod }],
      then: [
        { type: 'delete', key },
        { type: 'delete', key: layout.kill(basis.run) },
        ...(end.next === null ? [] : [wait(layout, basis, end.next)]),
        ...(end.owed === null ? [] : [owe(layout, end.owed, end.at, end.by)]),
      ],
      else: [basis.run, ...(end.next === null ? [] : [end.next.run])].map((run) => ({
        type: 'range',
        key: layout.run(basis.job, basis.lane, run),
      })),
    },
  };
}

function wait(layout: Layout, basis: RunBasis, next: Following): Op {
  return {
    type: 'put',
    key: layout.run(basis.job, basis.lane, next.run),
    value: JSON.stringify(next.running),
  };
}

/** Takes a run over under a new incarnation: after a restart, a running or a waiting one. */
export function adopt(layout: Layout, basis: RunBasis, running: RunningValue): Piece {
  const key = layout.run(basis.job, basis.lane, basis.run);
  return {
    job: basis.job,
    under: running.incarnation,
    txn: {
      compare: [{ key, target: 'mod', op: '=', revision: basis.mod }],
      then: [{ type: 'put', key, value: JSON.stringify(running) }],
      else: [{ type: 'range', key }],
    },
  };
}

/**
 * Closes a run whose owner is gone. It compares the owner's registration itself, since a mirror may be behind: an
 * owner that came back under another incarnation adopts its runs first. `incarnation` null: only while no registration of it stands
 * at all. No attempt follows a kill.
 */
export function closeDead(
  layout: Layout,
  basis: RunBasis,
  close: {
    owner: string;
    incarnation: Revision | null;
    record: Run;
    next: Following | null;
    at: number;
    by: string;
  },
): Piece {
  const key = layout.run(basis.job, basis.lane, basis.run);
  const kill = layout.kill(basis.run);
  return {
    job: basis.job,
    ...(close.next?.running.worker === close.by ? { under: close.next.running.incarnation } : {}),
    txn: {
      compare: [
        { key, target: 'mod', op: '=', revision: basis.mod },
        {
          key: layout.worker(close.owner),
          target: 'create',
          op: close.incarnation === null ? '=' : '!=',
          revision: close.incarnation ?? '0',
        },
      ],
      then: [
        { type: 'delete', key },
        owe(layout, close.record, close.at, close.by),
        ...(close.next === null
          ? []
          : [
              {
                type: 'txn' as const,
                txn: {
                  compare: [{ key: kill, target: 'create' as const, op: '=' as const, revision: '0' }],
                  then: [wait(layout, basis, close.next)],
                },
              },
            ]),
      ],
      else: [{ type: 'range', key }],
    },
  };
}

/** Forgets an owed record that History has acknowledged. */
export function settleOwed(layout: Layout, job: JobId, id: string): Piece {
  return { job, txn: { compare: [], then: [{ type: 'delete', key: layout.owing(id) }] } };
}

/** The worker's word that it has begun to signal: a kill whose ladder a dead agent began is told from one that nobody carried out. */
export function signKill(layout: Layout, job: JobId, run: RunId, asked: KillValue, at: number): Piece {
  const key = layout.kill(run);
  return {
    job,
    txn: {
      compare: [{ key, target: 'create', op: '>', revision: '0' }],
      then: [{ type: 'put', key, value: JSON.stringify({ ...asked, signalledAt: at } satisfies KillValue) }],
    },
  };
}
