import {
  type Compare,
  compareRevisions,
  type Entry,
  KvError,
  type Op,
  type OpResult,
  type RangeOptions,
  type Revision,
  type Txn,
  type TxnResult,
} from '#core/ports/kv.ts';
import type { KvState } from './kv-state.ts';

/** Which branch a txn takes, and those that its nested ones take, in order. */
interface Path {
  succeeded: boolean;
  ops: readonly Op[];
  nested: Path[];
}

/**
 * Judges and applies one request that passed checkTxn. As etcd does it: first every compare of the path on the state as it was,
 * then whether the leases stand, then the operations one by one, so that a range sees the puts before it.
 */
export function evaluate(state: KvState, txn: Txn): TxnResult {
  const path = choose(state, txn);
  checkLeases(state, path);
  let results: OpResult[] = [];
  state.write(() => {
    results = apply(state, path);
  });
  return { succeeded: path.succeeded, revision: state.revision, results };
}

function choose(state: KvState, txn: Txn): Path {
  const succeeded = txn.compare.every((compare) => holds(state, compare));
  const ops = succeeded ? txn.then : (txn.else ?? []);
  const nested: Path[] = [];
  for (const op of ops) if (op.type === 'txn') nested.push(choose(state, op.txn));
  return { succeeded, ops, nested };
}

const missing = { create: '0', mod: '0', version: 0 };

/** Every key of the range must satisfy it; an empty range is one missing key, whose value satisfies nothing. */
function holds(state: KvState, compare: Compare): boolean {
  let empty = true;
  let all = true;
  state.scan(compare, (entry) => {
    empty = false;
    all = satisfies(compare, entry);
    return all;
  });
  if (!empty) return all;
  return compare.target !== 'value' && satisfies(compare, { ...missing, value: '' });
}

function satisfies(compare: Compare, entry: Pick<Entry, 'create' | 'mod' | 'version' | 'value'>): boolean {
  const order = orderOf(compare, entry);
  switch (compare.op) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '>':
      return order > 0;
  }
}

function orderOf(compare: Compare, entry: Pick<Entry, 'create' | 'mod' | 'version' | 'value'>): number {
  switch (compare.target) {
    case 'create':
      return compareRevisions(entry.create, compare.revision);
    case 'mod':
      return compareRevisions(entry.mod, compare.revision);
    case 'version':
      return entry.version - compare.version;
    case 'value':
      return entry.value === compare.value ? 0 : entry.value < compare.value ? -1 : 1;
  }
}

/** Only on the path taken: a put in the other branch may name a lease that is gone. */
function checkLeases(state: KvState, path: Path): void {
  for (const op of path.ops)
    if (op.type === 'put' && op.lease !== undefined && !state.lease(op.lease))
      throw new KvError('lease_not_found', `put of ${op.key}: there is no lease ${op.lease}`);
  for (const nested of path.nested) checkLeases(state, nested);
}

function apply(state: KvState, path: Path): OpResult[] {
  const nested = path.nested.values();
  return path.ops.map((op) => applyOp(state, op, nested));
}

function applyOp(state: KvState, op: Op, nested: Iterator<Path>): OpResult {
  switch (op.type) {
    case 'put':
      state.put(op.key, op.value, op.lease ?? null);
      return { type: 'put' };
    case 'delete':
      return { type: 'delete', deleted: state.delete(op) };
    case 'range':
      return { type: 'range', ...readRange(state, op, op) };
    case 'txn': {
      const taken: Path = nested.next().value;
      return { type: 'txn', succeeded: taken.succeeded, results: apply(state, taken) };
    }
  }
}

/** A read with everything that etcd's range can leave out. */
export function readRange(
  state: KvState,
  range: { key: string; end?: string },
  { limit, revision, keysOnly = false, countOnly = false }: RangeOptions & { revision?: Revision },
): { entries: Entry[]; count: number; more: boolean } {
  const wanted = countOnly ? 0 : limit || Infinity;
  const read = state.read(range, { limit: wanted, ...(revision !== undefined && { revision }) });
  const entries = keysOnly
    ? read.entries.map((entry) => ({ ...entry, value: '', lease: null }))
    : read.entries;
  return { entries, count: read.count, more: !countOnly && read.count > entries.length };
}
