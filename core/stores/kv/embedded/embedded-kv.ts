import type { Clock } from '#core/ports/clock.ts';
import {
  type Entry,
  type FollowEvent,
  type Kv,
  KvError,
  type LeaseId,
  type Range,
  type RangeOptions,
  type RangeResult,
  type Revision,
  type Txn,
  type TxnResult,
} from '#core/ports/kv.ts';
import { checkKey, checkTxn } from './check-txn.ts';
import { evaluate, readRange } from './evaluate.ts';
import { Followers } from './followers.ts';
import type { Keep, KvState, Lease } from './kv-state.ts';

/** What a commit has to make durable: of each key and lease that changed, how it stands now. */
export interface Batch {
  revision: Revision;
  lastLease: number;
  keys: ReadonlyMap<string, Entry | undefined>;
  leases: ReadonlyMap<LeaseId, Lease | undefined>;
}

/** Where a store is made durable. Without one it lives in memory alone. */
export interface Journal {
  /** Returns when all of it is durable. Throws a KvError, and has kept nothing of it. */
  commit(batch: Batch): void;
  close(): void;
}

/** A store, and further connections to it that can be held up each on its own. */
export interface Connection extends Kv {
  /** Another connection to the same store: closing it ends its own followers only. */
  connect(): Connection;
  /** Holds up what this connection's followers are told, until the answer is called. For tests of what lags behind. */
  hold(): () => void;
}

/** How soon an expiry is tried again that could not be made durable. */
const retryExpiryMs = 1_000;
const keepDefault: Keep = { revisions: 10_000, chars: 16 * 1024 * 1024 };

/**
 * The Kv that lives in this process: the state of etcd's model in memory, where everything is judged and read, and
 * behind it a journal where there is one. With a journal, the requests of one turn of the event loop are one commit (each a
 * revision of its own): nobody is answered and no follower told before it is durable, and when it fails, the
 * state is what it was.
 */
export class EmbeddedKv implements Connection {
  readonly #core: Core;
  readonly #followers: Followers;
  #closed = false;

  constructor(core: Core) {
    this.#core = core;
    this.#followers = core.join();
  }

  async range(range: Range, options: RangeOptions = {}): Promise<RangeResult> {
    this.#checkOpen();
    checkKey(range);
    const { state } = this.#core;
    return { ...readRange(state, range, options), revision: options.revision ?? state.revision };
  }

  async txn(txn: Txn): Promise<TxnResult> {
    this.#checkOpen();
    checkTxn(txn);
    return this.#core.submit((state) => evaluate(state, txn));
  }

  async grant(ttlMs: number): Promise<LeaseId> {
    this.#checkOpen();
    if (!(ttlMs > 0)) throw new RangeError(`a lease lasts a positive number of ms, not ${ttlMs}`);
    return this.#core.grant(ttlMs);
  }

  async renew(lease: LeaseId): Promise<number> {
    this.#checkOpen();
    return this.#core.renew(lease);
  }

  async revoke(id: LeaseId): Promise<void> {
    this.#checkOpen();
    return this.#core.submit((state) => {
      const lease = state.lease(id);
      if (lease) state.revoke(lease);
    });
  }

  async follow(prefix: string, stop: AbortSignal, see: (event: FollowEvent) => void): Promise<void> {
    this.#checkOpen();
    checkKey({ key: prefix });
    return this.#followers.add(prefix, stop, see);
  }

  async compact(revision: Revision): Promise<void> {
    this.#checkOpen();
    this.#core.state.compact(revision);
  }

  connect(): Connection {
    return new EmbeddedKv(this.#core);
  }

  hold(): () => void {
    return this.#followers.hold();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#core.leave(this.#followers);
  }

  #checkOpen(): void {
    if (this.#closed) throw new KvError('unavailable', 'the store is closed');
  }
}

interface Job {
  run: (state: KvState) => unknown;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}

/** What the connections to one store share. It ends with the last of them. */
export class Core {
  readonly state: KvState;
  readonly #clock: Clock;
  readonly #journal: Journal | null;
  readonly #keep: Keep;
  readonly #connections = new Set<Followers>();
  #queue: Job[] = [];
  #expiryAt = Infinity;
  #cancelExpiry = () => {};

  constructor(options: { state: KvState; clock: Clock; journal?: Journal; keep?: Keep }) {
    this.state = options.state;
    this.#clock = options.clock;
    this.#journal = options.journal ?? null;
    this.#keep = options.keep ?? keepDefault;
    // Before anybody reads: a worker that was away for longer than its lease is not seen as alive again.
    this.#expire();
  }

  join(): Followers {
    const followers = new Followers(this.state);
    this.#connections.add(followers);
    return followers;
  }

  leave(followers: Followers): void {
    followers.close();
    this.#connections.delete(followers);
    if (this.#connections.size > 0) return;
    this.#flush();
    this.#cancelExpiry();
    this.#journal?.close();
  }

  /** Resolves with what `run` answers once that is durable; `run` either throws before it writes or is taken back. */
  submit<T>(run: (state: KvState) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ run, resolve, reject });
      if (!this.#journal) this.#flush();
      // After everything that this turn of the event loop still submits: a commit costs the same for one and for many.
      else if (this.#queue.length === 1) setImmediate(() => this.#flush());
    });
  }

  async grant(ttlMs: number): Promise<LeaseId> {
    return this.submit((state) => {
      const lease = state.grant(ttlMs, this.#clock.boot() + ttlMs);
      this.#record(lease);
      this.#expireBy(lease.deadline);
      return lease.id;
    });
  }

  async renew(id: LeaseId): Promise<number> {
    const lease = this.state.lease(id);
    const boot = this.#clock.boot();
    if (!lease || lease.deadline <= boot) return 0;
    lease.deadline = boot + lease.ttlMs;
    if (this.#journal && lease.deadline > lease.recorded) {
      // A full disk must not end a living process's lease: it stands here, and disk learns of it with a later renewal.
      await this.submit(() => this.#record(lease)).catch((error) => {
        if (!(error instanceof KvError)) throw error;
        lease.recorded = 0;
      });
    }
    return this.state.lease(id) ? lease.ttlMs : 0;
  }

  /**
   * Disk is told a TTL more than was promised, so that it need not be told of every renewal: after a crash a lease
   * never ends early, and at most a TTL late.
   */
  #record(lease: Lease): void {
    lease.recorded = lease.deadline + lease.ttlMs;
    this.state.touch(lease);
  }

  #flush(): void {
    const jobs = this.#queue;
    this.#queue = [];
    if (jobs.length === 0) return;
    const answers: (() => void)[] = [];
    for (const { run, resolve, reject } of jobs) {
      const mark = this.state.mark();
      try {
        const value = run(this.state) as never;
        answers.push(() => resolve(value));
      } catch (error) {
        // One request's refusal is its own: the others of the batch go on.
        this.state.undoTo(mark);
        answers.push(() => reject(error));
      }
    }
    try {
      this.#commit();
    } catch (error) {
      this.state.undoTo(0);
      for (const { reject } of jobs) reject(error);
      return;
    }
    for (const followers of this.#connections) followers.wake();
    for (const answer of answers) answer();
  }

  #commit(): void {
    const { state } = this;
    if (this.#journal) {
      const { keys, leases } = state.unkept();
      if (keys.size > 0 || leases.size > 0)
        this.#journal.commit({ revision: state.revision, lastLease: state.lastLease, keys, leases });
    }
    state.keep();
    state.trim(this.#keep);
  }

  #expireBy(deadline: number): void {
    if (deadline >= this.#expiryAt) return;
    this.#cancelExpiry();
    this.#expiryAt = deadline;
    this.#cancelExpiry = this.#clock.after(deadline - this.#clock.boot(), () => this.#expire());
  }

  /** Ends every lease that is over, each as a revision of its own, as etcd does, and waits for the next. */
  #expire(): void {
    this.#expiryAt = Infinity;
    const boot = this.#clock.boot();
    let next = Infinity;
    const over: Lease[] = [];
    for (const lease of this.state.leases()) {
      if (lease.deadline <= boot) over.push(lease);
      else next = Math.min(next, lease.deadline);
    }
    if (over.length > 0) {
      const ended = this.submit((state) => {
        for (const lease of over) state.revoke(lease);
      });
      ended.catch((error) => {
        // Nobody waits for an answer. What the disk would not take is tried again; anything else is a bug.
        if (!(error instanceof KvError)) throw error;
        this.#expireBy(this.#clock.boot() + retryExpiryMs);
      });
      this.#flush();
    }
    if (next < Infinity) this.#expireBy(next);
  }
}
