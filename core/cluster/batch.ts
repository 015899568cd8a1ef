import type { JobId } from '#core/model/ids.ts';
import {
  type Compare,
  type Kv,
  KvError,
  type Op,
  type OpResult,
  type Revision,
  type Txn,
} from '#core/ports/kv.ts';

/** One transaction of the protocol, about one job. */
export interface Piece {
  job: JobId;
  txn: Txn;
  /** The incarnation that it writes into a key: sent under another, it would make a run that is nobody's. */
  under?: Revision;
}

/**
 * done: it was judged. refused: the outer compare did not hold (not my registration any more, or drained), nothing was
 * judged. `doubt` says that an earlier attempt of the same request ended unknown, so that a lost reply may hide
 * behind the answer.
 */
export type PieceResult =
  | { outcome: 'done'; succeeded: boolean; results: OpResult[]; revision: string; doubt: boolean }
  | { outcome: 'refused'; doubt: boolean };

/** etcd allows 124 claims of this form; 100 leaves a path of 28 operations to each. */
export const maxPieces = 100;

/** What somebody, or time, will mend: the store is away, has no room, or has taken a right away. */
const passing: ReadonlySet<KvError['code']> = new Set(['unknown', 'unavailable', 'full', 'forbidden']);

interface Waiting {
  piece: Piece;
  resolve: (result: PieceResult) => void;
  reject: (error: unknown) => void;
}

/**
 * Sends pieces in as few requests as may be: what arrives while a request is under way, or is gathered after it, goes with the next. etcd judges
 * every nested compare on the state before the whole request, so one request holds at most one piece that names a
 * given job, of whatever kind. Repeats what ended unknown or was not taken, as long as `again` says so: every transaction here is safe to repeat.
 */
export function batcher(deps: {
  kv: Kv;
  /** Compared around all pieces, read anew for each attempt; null: nothing may be sent now. */
  outer: () => readonly Compare[] | null;
  /** The incarnation that `outer` compares now; pieces made under another are refused. */
  under?: () => Revision | null;
  /** Waits before the `attempt`th repeat (1, 2, ...); false: give up and reject. */
  again: (attempt: number, error: KvError) => Promise<boolean>;
  /**
   * For what is in no hurry: waits after each request for what else may come, `enough` being that a whole request's worth waits. So a
   * piece that comes alone goes at once, and of many each waits for the others.
   */
  gather?: (enough: AbortSignal) => Promise<void>;
}) {
  let waiting: Waiting[] = [];
  let busy = false;
  let enough: AbortController | null = null;
  const idlers: (() => void)[] = [];

  function take(): Waiting[] {
    const jobs = new Set<JobId>();
    const now: Waiting[] = [];
    const later: Waiting[] = [];
    for (const one of waiting) {
      const fits = now.length < maxPieces && !jobs.has(one.piece.job);
      jobs.add(one.piece.job);
      (fits ? now : later).push(one);
    }
    waiting = later;
    return now;
  }

  async function flush(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      // Let the turn end first: what one tick decides travels together.
      await Promise.resolve();
      while (waiting.length > 0) {
        await send(take());
        enough = new AbortController();
        if (waiting.length < maxPieces) await deps.gather?.(enough.signal);
      }
    } finally {
      busy = false;
      enough = null;
      for (const tell of idlers.splice(0)) tell();
    }
  }

  async function send(all: Waiting[], doubted = false): Promise<void> {
    let batch = all;
    let doubt = doubted;
    for (let attempt = 1; ; attempt += 1) {
      const compare = deps.outer();
      const under = deps.under?.();
      if (under !== undefined) {
        const stale = ({ piece }: Waiting) => piece.under !== undefined && piece.under !== under;
        for (const one of batch) if (stale(one)) one.resolve({ outcome: 'refused', doubt });
        batch = batch.filter((one) => !stale(one));
        if (batch.length === 0) return;
      }
      if (compare === null) {
        for (const one of batch) one.resolve({ outcome: 'refused', doubt });
        return;
      }
      try {
        const answer = await deps.kv.txn({
          compare,
          then: batch.map(({ piece }): Op => ({ type: 'txn', txn: piece.txn })),
        });
        batch.forEach(({ resolve }, at) => {
          const result = answer.results[at];
          if (!answer.succeeded || result?.type !== 'txn') resolve({ outcome: 'refused', doubt });
          else
            resolve({
              outcome: 'done',
              succeeded: result.succeeded,
              results: result.results,
              revision: answer.revision,
              doubt,
            });
        });
        return;
      } catch (error) {
        const code = error instanceof KvError ? error.code : null;
        if (code === 'unknown') doubt = true;
        // Too much together may be little enough apart, and who is too much alone must not take the others with him.
        if (code === 'too_large' && batch.length > 1) {
          const middle = Math.ceil(batch.length / 2);
          await send(batch.slice(0, middle), doubt);
          return await send(batch.slice(middle), doubt);
        }
        if (error instanceof KvError && passing.has(error.code) && (await deps.again(attempt, error)))
          continue;
        for (const one of batch) one.reject(error);
        return;
      }
    }
  }

  return {
    submit(piece: Piece): Promise<PieceResult> {
      return new Promise((resolve, reject) => {
        waiting.push({ piece, resolve, reject });
        if (waiting.length >= maxPieces) enough?.abort();
        void flush();
      });
    },
    /** Settles when no request is under way and no piece waits. */
    async idle(): Promise<void> {
      while (busy) await new Promise<void>((resolve) => idlers.push(resolve));
    },
  };
}
export type Batcher = ReturnType<typeof batcher>;
