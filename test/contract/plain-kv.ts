import {
  type Change,
  type Compare,
  type Entry,
  KvError,
  type Op,
  type OpResult,
  type Range,
  type Txn,
} from '#core/ports/kv.ts';

type Keys = ReadonlyMap<string, Entry>;

/**
 * Kv by definition, to hold the real ones against: every revision is a whole copy of all keys, everything is looked up by
 * looking at everything. Slow, short, and without any of the means that could go wrong elsewhere.
 */
export class PlainKv {
  /** Of revision n at n; 0 is not there. */
  readonly moments: Keys[] = [new Map(), new Map()];
  readonly changes: Change[][] = [[], []];
  #leases = new Map<string, { ttlMs: number; end: number }>();
  #lastLease = 0;

  get revision(): number {
    return this.moments.length - 1;
  }

  read(range: Range, revision = this.revision): Entry[] {
    return inRange(this.moments[revision] ?? new Map(), range);
  }

  txn(txn: Txn): { succeeded: boolean; revision: string; results: OpResult[] } {
    const before = this.#now();
    const now = new Map(before);
    const changes: Change[] = [];
    const mod = String(this.revision + 1);
    const put = ({ key, value, lease = null }: { key: string; value: string; lease?: string | null }) => {
      const old = now.get(key);
      const entry = { key, value, create: old?.create ?? mod, mod, version: (old?.version ?? 0) + 1, lease };
      now.set(key, entry);
      changes.push({ type: 'put', entry });
    };
    const run = (op: Op): OpResult => {
      if (op.type === 'txn') return { type: 'txn', ...branch(op.txn) };
      if (op.type === 'put') {
        put(op);
        return { type: 'put' };
      }
      const found = inRange(now, op);
      if (op.type === 'delete') {
        for (const { key } of found) {
          now.delete(key);
          changes.push({ type: 'delete', key, mod });
        }
        return { type: 'delete', deleted: found.length };
      }
      const limit = op.limit ?? found.length;
      return {
        type: 'range',
        entries: found.slice(0, limit),
        count: found.length,
        more: found.length > limit,
      };
    };
    const branch = ({ compare, then, else: otherwise = [] }: Txn) => {
      const succeeded = compare.every((each) => holds(before, each));
      return { succeeded, results: (succeeded ? then : otherwise).map(run) };
    };
    for (const lease of leasesOf(txn, before))
      if (!this.#leases.has(lease)) throw new KvError('lease_not_found', lease);
    const answer = branch(txn);
    this.#keep(now, changes);
    return { ...answer, revision: String(this.revision) };
  }

  grant(ttlMs: number, at: number): string {
    this.#leases.set(String(++this.#lastLease), { ttlMs, end: at + ttlMs });
    return String(this.#lastLease);
  }

  renew(lease: string, at: number): number {
    const known = this.#leases.get(lease);
    if (known) known.end = at + known.ttlMs;
    return known?.ttlMs ?? 0;
  }

  revoke(lease: string): void {
    const keys = [...this.#now().values()].filter((entry) => entry.lease === lease).map(({ key }) => key);
    const now = new Map(this.#now());
    for (const key of keys) now.delete(key);
    const mod = String(this.revision + 1);
    this.#leases.delete(lease);
    this.#keep(
      now,
      keys.sort().map((key) => ({ type: 'delete', key, mod })),
    );
  }

  /** Ends what is over at `at`. */
  expire(at: number): void {
    const over = [...this.#leases].filter(([, { end }]) => end <= at);
    over.sort(([a, one], [b, other]) => one.end - other.end || Number(a) - Number(b));
    for (const [lease] of over) this.revoke(lease);
  }

  get leases(): string[] {
    return [...this.#leases.keys()];
  }

  #now(): Keys {
    return this.moments.at(-1) ?? new Map();
  }

  #keep(now: Keys, changes: Change[]): void {
    if (changes.length === 0) return;
    this.moments.push(now);
    this.changes.push(changes);
  }
}

function inRange(keys: Keys, { key, end }: Range): Entry[] {
  const inside = (each: string) => (end === undefined ? each === key : key <= each && each < end);
  return [...keys.values()].filter((entry) => inside(entry.key)).sort((a, b) => (a.key < b.key ? -1 : 1));
}

function holds(keys: Keys, compare: Compare): boolean {
  const found = inRange(keys, compare);
  if (found.length === 0 && compare.target === 'value') return false;
  const missing = { create: '0', mod: '0', version: 0, value: '' };
  return (found.length === 0 ? [missing] : found).every((entry) => {
    const [left, right] = sides(compare, entry);
    if (compare.op === '=') return left === right;
    if (compare.op === '!=') return left !== right;
    return compare.op === '<' ? left < right : left > right;
  });
}

function sides(
  compare: Compare,
  entry: Pick<Entry, 'create' | 'mod' | 'version' | 'value'>,
): [string | bigint, string | bigint] {
  if (compare.target === 'value') return [entry.value, compare.value];
  if (compare.target === 'version') return [BigInt(entry.version), BigInt(compare.version)];
  return [BigInt(entry[compare.target]), BigInt(compare.revision)];
}

function leasesOf({ compare, then, else: otherwise = [] }: Txn, keys: Keys): string[] {
  const taken = compare.every((each) => holds(keys, each)) ? then : otherwise;
  return taken.flatMap((op) => {
    if (op.type === 'txn') return leasesOf(op.txn, keys);
    return op.type === 'put' && op.lease !== undefined ? [op.lease] : [];
  });
}
