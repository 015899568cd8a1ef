import { Refusal } from '#core/model/refusal.ts';
import type { StoreFinding } from '#core/model/store-finding.ts';
import type { Clock } from '#core/ports/clock.ts';
import {
  compareRevisions,
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
import type { Standing } from './audit.ts';
import { ofCertificates } from './certificates.ts';
import { etcdFindings } from './findings.ts';
import { flatReads, nestedAgain } from './flat-reads.ts';
import { follow } from './follow.ts';
import { Members } from './members.ts';
import { type EtcdOptions, readEtcdUrl } from './options.ts';
import type { Part } from './rights.ts';
import {
  entryOf,
  type Header,
  opResults,
  type RangeAnswer,
  rangeRequest,
  type TxnAnswer,
  txnRequest,
} from './wire.ts';

/** What a page of a list should hold, and how many keys the first asks for, when nobody knows yet how large they are. */
const page = { bytes: 1024 * 1024, firstKeys: 500, mostKeys: 10_000 };

/** The etcd that the URL names. Refusals `store_url_invalid`, and those of `Members.greet`. */
export async function openEtcd(url: string, world: { clock: Clock; chance: () => number }): Promise<EtcdKv> {
  const options = readEtcdUrl(url);
  const kv = new EtcdKv(options, world);
  try {
    await kv.members.greet();
    return kv;
  } catch (error) {
    await kv.close();
    // A member that refuses one that has expired does not always say that it has.
    const expired = ofCertificates(options, world.clock.now()).filter(({ level }) => level === 'error');
    if (!(error instanceof Refusal) || expired.length === 0) throw error;
    throw new Refusal(error.code, [error.message, ...expired.map(({ message }) => message)].join('; '));
  }
}

/** What is wrong with the etcd that a URL names. Never throws for what a server or the URL is like. */
export async function findingsOf(
  url: string,
  world: { clock: Clock; chance: () => number },
  part: Part,
): Promise<StoreFinding[]> {
  let kv: EtcdKv | null = null;
  try {
    const options = readEtcdUrl(url);
    kv = new EtcdKv(options, world);
    return await etcdFindings(kv.members, options, world.clock, part);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [{ code: error.code, level: 'error', message: error.message }];
  } finally {
    await kv?.close();
  }
}

/**
 * The Kv on etcd, by etcd3's connections and our own loops. Nothing is asked before it is needed. A write is sent to the next
 * member only where the one before surely did nothing; a read or a renewal is asked of each once.
 */
export class EtcdKv implements Kv {
  readonly members: Members;
  readonly #clock: Clock;
  readonly #chance: () => number;
  readonly #closing = new AbortController();

  constructor(options: EtcdOptions, { clock, chance }: { clock: Clock; chance: () => number }) {
    this.#clock = clock;
    this.#chance = chance;
    this.members = new Members(options, clock, chance);
  }

  async range(range: Range, options: RangeOptions = {}): Promise<RangeResult> {
    checkKey(range.key);
    const wanted = options.limit || Infinity;
    const entries: Entry[] = [];
    let keys = page.firstKeys;
    let first: RangeAnswer | null = null;
    for (;;) {
      const limit = options.countOnly ? 0 : Math.min(keys, wanted - entries.length);
      const last = entries.at(-1);
      const revision = options.revision ?? first?.header.revision;
      const answer = await this.#page(
        // After a key comes itself with a zero byte.
        { ...range, key: last ? `${last.key}\0` : range.key },
        { ...options, limit, ...(revision !== undefined && { revision }) },
      );
      first ??= answer;
      let bytes = 1;
      for (const kv of answer.kvs) {
        bytes += kv.key.length + kv.value.length;
        entries.push(entryOf(kv, options.keysOnly));
      }
      if (options.countOnly || !answer.more || entries.length >= wanted) break;
      keys = Math.ceil(Math.min(page.mostKeys, (page.bytes * Math.max(1, answer.kvs.length)) / bytes));
    }
    const count = Number(first.count);
    return {
      entries,
      revision: options.revision ?? first.header.revision,
      count,
      more: !options.countOnly && count > entries.length,
    };
  }

  async txn(txn: Txn): Promise<TxnResult> {
    checkKeys(txn);
    const reads = flatReads(txn);
    const sent = reads ?? txn;
    const request = txnRequest(sent);
    const answer = await this.members.call<TxnAnswer>({
      ...{ service: 'KV', method: 'txn', request, repeatable: false },
    });
    const results = opResults(answer, sent);
    return {
      succeeded: answer.succeeded,
      // Nested answers carry revision 0: only the outer header tells it.
      revision: answer.header.revision,
      results: reads === null ? results : nestedAgain(txn, results),
    };
  }

  /** etcd counts leases in whole seconds: rounded up. */
  async grant(ttlMs: number): Promise<LeaseId> {
    if (!(ttlMs > 0)) throw new RangeError(`a lease lasts a positive number of ms, not ${ttlMs}`);
    const request = { TTL: Math.ceil(ttlMs / 1_000), ID: 0 };
    // Repeatable: a lease that nobody knows of holds nothing and ends by itself.
    const { ID } = await this.members.call<{ ID: string }>({
      ...{ service: 'Lease', method: 'leaseGrant', request, repeatable: true },
    });
    return ID;
  }

  /**
   * A stream of its own each time: it carries a token of now (3.7 ends an open one when its token does), and goes where the last
   * call was answered.
   */
  async renew(lease: LeaseId): Promise<number> {
    const { TTL } = await this.members.ask<{ TTL: string }>('Lease', 'leaseKeepAlive', { ID: lease });
    return Math.max(0, Number(TTL) * 1_000);
  }

  async revoke(lease: LeaseId): Promise<void> {
    try {
      await this.members.call({
        service: 'Lease',
        method: 'leaseRevoke',
        request: { ID: lease },
        repeatable: true,
      });
    } catch (error) {
      if (!(error instanceof KvError && error.code === 'lease_not_found')) throw error;
    }
  }

  async follow(prefix: string, stop: AbortSignal, see: (event: FollowEvent) => void): Promise<void> {
    checkKey(prefix);
    if (this.#closing.signal.aborted) throw new KvError('unavailable', 'the store is closed');
    return follow(
      {
        members: this.members,
        clock: this.#clock,
        chance: this.#chance,
        list: (range) => this.range(range),
        standing: (range, seen) => this.standing(range, seen),
      },
      prefix,
      AbortSignal.any([stop, this.#closing.signal]),
      see,
    );
  }

  async compact(revision: Revision): Promise<void> {
    const request = { revision, physical: false };
    await this.members.call<{ header: Header }>({
      ...{ service: 'KV', method: 'compact', request, repeatable: false },
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.members.close();
  }

  /** How it stands below a range, for an audit of who follows it. */
  async standing(range: Range, seen: Revision): Promise<Standing> {
    const newer = { min_mod_revision: String(BigInt(seen) + 1n), keys_only: true };
    const request = { ...rangeRequest(range), ...newer };
    const { header, count, kvs } = await this.members.call<RangeAnswer>({
      ...{ service: 'KV', method: 'range', request, repeatable: true },
    });
    const mods = kvs.map(({ mod_revision }) => mod_revision).sort(compareRevisions);
    return { revision: header.revision, count: Number(count), newest: mods.at(-1) ?? null };
  }

  async #page(range: Range, options: RangeOptions): Promise<RangeAnswer> {
    let limit = options.limit ?? 0;
    for (;;) {
      try {
        const request = rangeRequest(range, { ...options, limit: Number.isFinite(limit) ? limit : 0 });
        return await this.members.call<RangeAnswer>({
          ...{ service: 'KV', method: 'range', request, repeatable: true },
        });
      } catch (error) {
        // Values that are far larger than those before: fewer at a time. One alone always fits.
        if (!isTooMuch(error) || limit <= 1) throw error;
        limit = Math.ceil(limit / 16);
      }
    }
  }
}

function isTooMuch(error: unknown): boolean {
  return error instanceof KvError && /Received message larger than max/.test(error.message);
}

function checkKeys({ compare, then, else: otherwise = [] }: Txn): void {
  for (const { key } of compare) checkKey(key);
  for (const op of [...then, ...otherwise]) {
    if (op.type === 'txn') checkKeys(op.txn);
    else checkKey(op.key);
  }
}

function checkKey(key: string): void {
  if (key === '') throw new TypeError('a store key is not empty');
}
