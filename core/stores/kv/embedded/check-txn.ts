import { KvError, type Op, type Range, type Txn } from '#core/ports/kv.ts';

/** etcd's --max-txn-ops and --max-request-bytes, as they are unless somebody sets them. */
const opsMax = 128;
const bytesMax = 1.5 * 1024 * 1024;

/** Throws what etcd's server throws of a request before it looks at the store (server/etcdserver/api/v3rpc/key.go). */
export function checkTxn(txn: Txn): void {
  checkOps(txn, opsMax);
  checkWrites([txn.then, txn.else ?? []]);
  const bytes = sizeOf(txn);
  if (bytes > bytesMax)
    throw new KvError('too_large', `the request has ${bytes} bytes; at most ${bytesMax} fit`);
}

export function checkKey({ key }: Range): void {
  if (key === '') throw new TypeError('a store key is not empty');
}

/** At each level the longest of the three lists counts, and what it leaves is there for the levels below. */
function checkOps(txn: Txn, left: number): void {
  const longest = Math.max(txn.compare.length, txn.then.length, txn.else?.length ?? 0);
  if (longest > left)
    throw new KvError(
      'too_large',
      `a path of the request has over ${opsMax} operations; at most ${opsMax} fit`,
    );
  for (const compare of txn.compare) checkKey(compare);
  for (const op of branches(txn)) {
    if (op.type === 'txn') checkOps(op.txn, left - longest);
    else checkKey(op);
  }
}

interface Writes {
  puts: Set<string>;
  deletes: Range[];
}

/**
 * No key may be put twice, or be put and deleted, along any path; both branches of one txn may put the same key.
 * In etcd's order, which forgives one case: a nested delete of what an earlier nested txn put.
 */
function checkWrites(alternatives: readonly (readonly Op[])[]): Writes {
  const all: Writes = { puts: new Set(), deletes: [] };
  for (const ops of alternatives) {
    const writes: Writes = { puts: new Set(), deletes: ops.filter((op) => op.type === 'delete') };
    for (const op of ops) {
      if (op.type !== 'txn') continue;
      const nested = checkWrites([op.txn.then, op.txn.else ?? []]);
      for (const key of nested.puts) addPut(writes, key);
      writes.deletes.push(...nested.deletes);
    }
    for (const op of ops) if (op.type === 'put') addPut(writes, op.key);
    for (const key of writes.puts) all.puts.add(key);
    all.deletes.push(...writes.deletes);
  }
  return all;
}

function addPut({ puts, deletes }: Writes, key: string): void {
  if (puts.has(key)) throw new KvError('duplicate_key', `the request puts ${key} twice`);
  if (deletes.some((range) => covers(range, key)))
    throw new KvError('duplicate_key', `the request puts ${key} and deletes it`);
  puts.add(key);
}

export function covers(range: Range, key: string): boolean {
  return range.end === undefined ? range.key === key : range.key <= key && key < range.end;
}

/** Of its texts, with some bytes for what frames each: close to what etcd counts, and a little above. */
function sizeOf(txn: Txn): number {
  let bytes = 16;
  for (const { key, end = '', ...compare } of txn.compare)
    bytes += 24 + length(key) + length(end) + (compare.target === 'value' ? length(compare.value) : 0);
  for (const op of branches(txn)) {
    if (op.type === 'txn') bytes += sizeOf(op.txn);
    else if (op.type === 'put') bytes += 24 + length(op.key) + length(op.value);
    else bytes += 24 + length(op.key) + length(op.end ?? '');
  }
  return bytes;
}

const length = (text: string) => Buffer.byteLength(text);

function branches(txn: Txn): readonly Op[] {
  return txn.else ? [...txn.then, ...txn.else] : txn.then;
}
