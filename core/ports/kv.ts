/**
 * The store of jobs, cursors, running keys and registrations, shaped like etcd v3. cluster/ is written once over
 * this port; the memory implementation is a faithful model of etcd, SQLite makes it durable, etcd is the
 * distributed one. One contract suite (test/contract/kv) runs against each.
 *
 * Keys and values are text. Revisions and lease ids are decimal text: etcd's are 64 bit, a JavaScript number is not.
 * '0' is the revision of a key that does not exist.
 */
export type Revision = string;
export type LeaseId = string;

export interface Entry {
  key: string;
  value: string;
  /** Revision at which this key was last created. */
  create: Revision;
  /** Revision of its last put. */
  mod: Revision;
  /** Puts since its creation; 1 for a new key. */
  version: number;
  lease: LeaseId | null;
}

/** One key, or every key in [key, end). */
export interface Range {
  key: string;
  end?: string;
}

/**
 * Compared with every key of the range; an empty range counts as one missing key (create, mod and version '0'):
 * so `create = 0` over a range holds exactly when the range is empty. A value compare on a missing key never holds.
 */
export type Compare = Range & { op: '=' | '!=' | '<' | '>' } & (
    | { target: 'create' | 'mod'; revision: Revision }
    | { target: 'version'; version: number }
    | { target: 'value'; value: string }
  );

export type Op =
  | { type: 'put'; key: string; value: string; lease?: LeaseId }
  | ({ type: 'delete' } & Range)
  | ({ type: 'range'; limit?: number; keysOnly?: boolean; countOnly?: boolean } & Range)
  | { type: 'txn'; txn: Txn };

/**
 * Judged and applied as one. Every compare, nested ones too, sees the state before the whole request; nested ranges
 * see the puts before them. No key may be put twice in one request (throws KvError `duplicate_key`, like etcd).
 */
export interface Txn {
  compare: readonly Compare[];
  then: readonly Op[];
  else?: readonly Op[];
}

export type OpResult =
  | { type: 'put' }
  | { type: 'delete'; deleted: number }
  | { type: 'range'; entries: Entry[]; count: number; more: boolean }
  | { type: 'txn'; succeeded: boolean; results: OpResult[] };

export interface TxnResult {
  succeeded: boolean;
  /** The store's revision after the request: the mod revision of everything it put. */
  revision: Revision;
  results: OpResult[];
}

export interface RangeResult {
  /** In key order. */
  entries: Entry[];
  /** The revision that the answer shows. */
  revision: Revision;
  /** How many keys the range holds, beyond `limit` too. */
  count: number;
  more: boolean;
}

export type Change = { type: 'put'; entry: Entry } | { type: 'delete'; key: string; mod: Revision };

/** What a follower is told. After a `list` its view is exactly `entries`; `changes` apply in order. */
export type FollowEvent =
  | { type: 'list'; entries: Entry[]; revision: Revision }
  | { type: 'changes'; changes: Change[]; revision: Revision };

export interface RangeOptions {
  limit?: number;
  /** Reads as of this revision (for pages of one list); KvError `compacted` when it is gone. */
  revision?: Revision;
  /** Without values and leases: etcd reads neither from disk for it (the lease no longer since 3.7). */
  keysOnly?: boolean;
  countOnly?: boolean;
}

export interface Kv {
  range(range: Range, options?: RangeOptions): Promise<RangeResult>;
  /**
   * At most 128 operations along one path and 1.5 MiB. Throws KvError: `unknown` when the outcome is not known
   * (a timeout: it may be applied, even seconds later), `unavailable` when it was surely not applied.
   */
  txn(txn: Txn): Promise<TxnResult>;
  /** A lease that ends `ttlMs` after its last renewal, by the store's own clock; its keys are deleted then. */
  grant(ttlMs: number): Promise<LeaseId>;
  /** The remaining time in ms, or 0 when there is no such lease (any more). */
  renew(lease: LeaseId): Promise<number>;
  /** Deletes the lease and its keys; no error when it is gone. */
  revoke(lease: LeaseId): Promise<void>;
  /**
   * A view of every key that begins with `prefix`, kept current: first a `list`, then `changes`, without gap and
   * without double, until `stop`. Goes on by itself after any loss of connection; when the store compacted
   * what it missed, another `list` comes. Settles after `stop`; a throw of `see` is thrown through.
   */
  follow(prefix: string, stop: AbortSignal, see: (event: FollowEvent) => void): Promise<void>;
  /** Forgets revisions below `revision`. */
  compact(revision: Revision): Promise<void>;
  close(): Promise<void>;
}

export class KvError extends Error {
  override readonly name = 'KvError';
  readonly code:
    | 'unknown'
    | 'unavailable'
    | 'compacted'
    | 'duplicate_key'
    | 'too_large'
    | 'lease_not_found'
    /** The store is out of space, and takes no writes until somebody has made some. */
    | 'full'
    /** The store does not let this credential do it. */
    | 'forbidden';
  constructor(code: KvError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Below, at or above 0 as revision `a` is before, at or after `b`: decimal text, of up to 64 bits, without leading zeros. */
export function compareRevisions(a: Revision, b: Revision): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

/** The end of the range of all keys that begin with `prefix` (etcd's rule: the prefix with its last byte + 1). */
export function prefixEnd(prefix: string): string {
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}

export function prefixRange(prefix: string): Required<Range> {
  return { key: prefix, end: prefixEnd(prefix) };
}
