import type { Op, OpResult, Txn } from '#core/ports/kv.ts';

/** etcd's own limit of operations a request. */
const mostReads = 128;

type Read = Extract<Op, { type: 'range' }>;

/**
 * A request that only reads, with its nested transactions dissolved; null where it compares, writes, or holds too many reads for one
 * level. etcd takes whatever is nested for a write (isTxnReadonly in its server) and has it agreed upon and synced by all members; reads
 * side by side cost none of that, and see one revision just the same.
 */
export function flatReads(txn: Txn): Txn | null {
  if (txn.compare.length > 0 || hasElse(txn) || !txn.then.some(({ type }) => type === 'txn')) return null;
  const then: Read[] = [];
  for (const op of txn.then) {
    const reads = readsOf(op);
    if (reads === null || then.length + reads.length > mostReads) return null;
    then.push(...reads);
  }
  return { compare: [], then };
}

/** The answers to `flatReads` of it, as those to the transaction itself. */
export function nestedAgain(txn: Txn, answers: readonly OpResult[]): OpResult[] {
  let at = 0;
  return txn.then.flatMap((op): OpResult[] => {
    const results = answers.slice(at, at + (op.type === 'txn' ? op.txn.then.length : 1));
    at += results.length;
    return op.type === 'txn' ? [{ type: 'txn', succeeded: true, results }] : results;
  });
}

/** What is never done without a compare is judged by etcd all the same: it may be refused for it. */
const hasElse = (txn: Txn) => (txn.else ?? []).length > 0;

/** null: it does more than read, or deeper. */
function readsOf(op: Op): Read[] | null {
  if (op.type === 'range') return [op];
  if (op.type !== 'txn' || op.txn.compare.length > 0 || hasElse(op.txn)) return null;
  const reads = op.txn.then.filter((one) => one.type === 'range');
  return reads.length === op.txn.then.length ? reads : null;
}
