import type { Op, Txn } from '#core/ports/kv.ts';

/** The same transaction with its operations changed, nested ones as well; null takes one out. */
export function changed(txn: Txn, change: (op: Op) => Op | readonly Op[] | null): Txn {
  const each = (ops: readonly Op[]): Op[] =>
    ops.flatMap((op) => {
      const to = change(op.type === 'txn' ? { ...op, txn: changed(op.txn, change) } : op);
      return to === null ? [] : Array.isArray(to) ? [...to] : [to as Op];
    });
  return { ...txn, then: each(txn.then), ...(txn.else === undefined ? {} : { else: each(txn.else) }) };
}

/** The same transaction without the compares that `keep` says no to, nested ones as well. */
export function without(txn: Txn, keep: (compare: Txn['compare'][number]) => boolean): Txn {
  const nested = changed(txn, (op) => (op.type === 'txn' ? { ...op, txn: without(op.txn, keep) } : op));
  return { ...nested, compare: txn.compare.filter(keep) };
}
