import { type Change, type Entry, KvError, type LeaseId, type Range, type Revision } from '#core/ports/kv.ts';
import { covers } from './check-txn.ts';
import { SortedMap } from './sorted-map.ts';

export interface KeyChange {
  key: string;
  before: Entry | undefined;
  after: Entry | undefined;
}

export interface Lease {
  id: LeaseId;
  ttlMs: number;
  /** Boot time at which it ends. */
  deadline: number;
  /** Boot time up to which disk knows of it (embedded-kv.ts, renew). */
  recorded: number;
  keys: Set<string>;
}

/** What one revision did. Revisions leave no gap, so the place in the log follows from the revision. */
interface Past {
  changes: readonly KeyChange[];
  /** Characters that it keeps alive. */
  size: number;
}

/** How much past is kept before half of it is forgotten. */
export interface Keep {
  revisions: number;
  chars: number;
}

/** Where a store starts that has been there before. */
export interface Restored {
  revision: number;
  lastLease: number;
  /** In any order. */
  entries: Iterable<Entry>;
  leases: readonly Omit<Lease, 'keys'>[];
}

/**
 * etcd's multi-version store: keys, leases, revisions, and as much of the past as was not compacted. The present is a
 * map; the past is a log of what each revision changed, which serves followers forwards and old reads backwards. All
 * is synchronous, and every write can be taken back until `keep` is called.
 */
export class KvState {
  /** etcd's first: the empty store has revision 1, the first write makes 2. Safe integers last 285,000 years at 1,000 a second. */
  #revision = 1;
  /** Reads and changes below it are gone. */
  #compacted = 1;
  #lastLease = 0;
  readonly #entries = new SortedMap<Entry>();
  readonly #leases = new Map<LeaseId, Lease>();
  /** The last of it is `#revision`. */
  readonly #log: Past[] = [];
  #logSize = 0;
  /** What the revision being written changed so far. */
  #writing: KeyChange[] = [];
  /** How to take back what was done since the last `keep`, in order of doing. */
  #undo: (() => void)[] = [];
  #touchedLeases = new Set<LeaseId>();
  #kept = 1;

  restore(from: Restored): void {
    for (const { id, ttlMs, deadline, recorded } of from.leases)
      this.#leases.set(id, { id, ttlMs, deadline, recorded, keys: new Set() });
    for (const entry of from.entries) this.#set(entry.key, entry);
    this.#revision = this.#compacted = this.#kept = from.revision;
    this.#lastLease = from.lastLease;
  }

  get revision(): Revision {
    return String(this.#revision);
  }

  get lastLease(): number {
    return this.#lastLease;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Calls `visit` with the entries of the range in key order until it answers false. */
  scan(range: Range, visit: (entry: Entry) => boolean): void {
    const entry = range.end === undefined && this.#entries.get(range.key);
    if (range.end !== undefined) this.#entries.scan(range.key, range.end, visit);
    else if (entry) visit(entry);
  }

  /** The first `limit` entries of the range, and how many it holds, now or at an earlier revision. */
  read(range: Range, { limit = Infinity, revision }: { limit?: number; revision?: Revision } = {}) {
    const undone = this.#undone(range, revision === undefined ? this.#revision : Number(revision));
    let count = this.#count(range);
    for (const [key, then] of undone) count += Number(then !== undefined) - Number(this.#entries.has(key));

    const old = [...undone.values()]
      .filter((then) => then !== undefined)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    const entries: Entry[] = [];
    let next = 0;
    this.scan(range, (entry) => {
      for (let then = old[next]; then && then.key <= entry.key; then = old[++next]) entries.push(then);
      if (!undone.has(entry.key)) entries.push(entry);
      return entries.length < limit;
    });
    while (entries.length < limit && next < old.length) entries.push(...old.slice(next++, next));
    if (entries.length > limit) entries.length = limit;
    return { entries, count };
  }

  /** Runs `write` as one revision, if it writes at all. */
  write(write: () => void): void {
    this.#writing = [];
    write();
    const changes = this.#writing;
    if (changes.length === 0) return;
    let size = 0;
    for (const { key, after } of changes) size += key.length + (after?.value.length ?? 0);
    this.#revision++;
    this.#log.push({ changes, size });
    this.#logSize += size;
    this.#undo.push(() => {
      this.#revision--;
      this.#log.pop();
      this.#logSize -= size;
    });
  }

  put(key: string, value: string, lease: LeaseId | null): void {
    const before = this.#entries.get(key);
    const mod = String(this.#revision + 1);
    const version = (before?.version ?? 0) + 1;
    this.#change(key, Object.freeze({ key, value, create: before?.create ?? mod, mod, version, lease }));
  }

  delete(range: Range): number {
    const keys: string[] = [];
    this.scan(range, ({ key }) => keys.push(key) > 0);
    for (const key of keys) this.#change(key, undefined);
    return keys.length;
  }

  lease(id: LeaseId): Lease | undefined {
    return this.#leases.get(id);
  }

  leases(): Iterable<Lease> {
    return this.#leases.values();
  }

  grant(ttlMs: number, deadline: number): Lease {
    const id = String(++this.#lastLease);
    const lease = { id, ttlMs, deadline, recorded: 0, keys: new Set<string>() };
    this.#leases.set(id, lease);
    this.#touchedLeases.add(id);
    this.#undo.push(() => {
      this.#lastLease--;
      this.#leases.delete(id);
    });
    return lease;
  }

  /** Forgets the lease and deletes its keys, as one revision. */
  revoke(lease: Lease): void {
    this.write(() => {
      for (const key of [...lease.keys].sort()) this.#change(key, undefined);
    });
    this.#leases.delete(lease.id);
    this.#touchedLeases.add(lease.id);
    this.#undo.push(() => this.#leases.set(lease.id, lease));
  }

  /** Has `unkept` name it. */
  touch(lease: Lease): void {
    this.#touchedLeases.add(lease.id);
  }

  mark(): number {
    return this.#undo.length;
  }

  /** Takes back everything done since `mark`. */
  undoTo(mark: number): void {
    while (this.#undo.length > mark) this.#undo.pop()?.();
    if (mark === 0) this.#touchedLeases.clear();
  }

  /** What was done since the last `keep`: of each key and each lease how it stands now. */
  unkept(): { keys: Map<string, Entry | undefined>; leases: Map<LeaseId, Lease | undefined> } {
    const keys = new Map<string, Entry | undefined>();
    for (const { changes } of this.#pastAfter(this.#kept))
      for (const change of changes) keys.set(change.key, change.after);
    return { keys, leases: new Map([...this.#touchedLeases].map((id) => [id, this.#leases.get(id)])) };
  }

  /** What was done can no longer be taken back. */
  keep(): void {
    this.#kept = this.#revision;
    this.#undo = [];
    this.#touchedLeases.clear();
  }

  /** Of each revision after `seen`, in order, what it changed below `prefix`; null where that is compacted. */
  changesAfter(seen: Revision, prefix: string): { revision: Revision; changes: Change[] }[] | null {
    const since = Number(seen);
    if (since + 1 < this.#compacted) return null;
    const told: { revision: Revision; changes: Change[] }[] = [];
    for (const [at, past] of this.#pastAfter(since).entries()) {
      const revision = String(since + 1 + at);
      const changes: Change[] = [];
      for (const { key, after } of past.changes)
        if (key.startsWith(prefix))
          changes.push(after ? { type: 'put', entry: after } : { type: 'delete', key, mod: revision });
      if (changes.length > 0) told.push({ revision, changes });
    }
    return told;
  }

  compact(revision: Revision): void {
    const target = Number(revision);
    if (target <= this.#compacted) throw compacted(revision, this.#compacted);
    this.#checkNotAhead(target);
    this.#forgetBelow(target);
  }

  /** Forgets half of the past when there is more of it than `keep`. */
  trim(keep: Keep): void {
    if (this.#log.length <= keep.revisions && this.#logSize <= keep.chars) return;
    let size = this.#logSize;
    let from = 0;
    // The last revision stays in any case: reads at it must not find it compacted.
    while (
      from < this.#log.length - 1 &&
      (this.#log.length - from > keep.revisions / 2 || size > keep.chars / 2)
    )
      size -= this.#log[from++]?.size ?? 0;
    this.#forgetBelow(this.#revision - this.#log.length + 1 + from);
  }

  #forgetBelow(revision: number): void {
    const first = this.#revision - this.#log.length + 1;
    for (const { size } of this.#log.splice(0, Math.max(0, revision - first))) this.#logSize -= size;
    this.#compacted = revision;
  }

  #pastAfter(revision: number): Past[] {
    return revision >= this.#revision ? [] : this.#log.slice(revision - this.#revision);
  }

  /** Of each key of the range that changed after `revision`, what it was then. */
  #undone(range: Range, revision: number): Map<string, Entry | undefined> {
    this.#checkNotAhead(revision);
    if (revision < this.#compacted) throw compacted(String(revision), this.#compacted);
    const undone = new Map<string, Entry | undefined>();
    for (const { changes } of this.#pastAfter(revision).reverse())
      for (const { key, before } of changes.toReversed()) if (covers(range, key)) undone.set(key, before);
    return undone;
  }

  #checkNotAhead(revision: number): void {
    if (!(revision <= this.#revision))
      throw new RangeError(`revision ${revision} lies ahead of the store, which is at ${this.#revision}`);
  }

  #count({ key, end }: Range): number {
    return end === undefined ? Number(this.#entries.has(key)) : this.#entries.count(key, end);
  }

  #change(key: string, after: Entry | undefined): void {
    const before = this.#entries.get(key);
    this.#set(key, after);
    this.#writing.push({ key, before, after });
    this.#undo.push(() => this.#set(key, before));
  }

  /** Entry and lease know of each other at any time. */
  #set(key: string, after: Entry | undefined): void {
    const before = this.#entries.get(key);
    if (before?.lease) this.#leases.get(before.lease)?.keys.delete(key);
    if (after?.lease) this.#leases.get(after.lease)?.keys.add(key);
    if (after) this.#entries.set(key, after);
    else this.#entries.delete(key);
  }
}

function compacted(revision: Revision, at: number): KvError {
  return new KvError('compacted', `revision ${revision} is compacted; the oldest is ${at}`);
}
