import type { Op, OpResult } from '#core/ports/kv.ts';
import type { Connection } from '#core/stores/kv/embedded/embedded-kv.ts';

/** What the store was asked for, and what it told, since the last `reset`. */
export class StoreCost {
  /** Requests that wrote something. */
  commits = 0;
  /** Keys put, or deleted where there was one. */
  writes = 0;
  /** Requests that wrote nothing; renewals of leases are not among them. */
  reads = 0;
  /** Ranges in all requests that lie in one of the prefixes of `looksAt`. */
  looks = 0;
  renewals = 0;
  /** Changes told to who follows, once for each that is told. */
  told = 0;

  reset(): void {
    Object.assign(this, new StoreCost());
  }
}

/** Counts from now on what goes to and comes from `store` through any of its connections. */
export function costOf(store: Connection, looksAt: string): StoreCost {
  const cost = new StoreCost();
  const { range, txn, renew, connect } = store;
  store.range = (asked, options) => {
    cost.reads += 1;
    if (asked.key.startsWith(looksAt)) cost.looks += 1;
    return range.call(store, asked, options);
  };
  store.txn = async (asked) => {
    const answer = await txn.call(store, asked);
    const done = answer.succeeded ? asked.then : (asked.else ?? []);
    const written = writesOf(done, answer.results);
    if (written > 0) cost.commits += 1;
    else cost.reads += 1;
    cost.writes += written;
    cost.looks += looksOf(done, answer.results, looksAt);
    return answer;
  };
  store.renew = (lease) => {
    cost.renewals += 1;
    return renew.call(store, lease);
  };
  // An agent's requests go to the store itself, what it follows comes through a connection of its own.
  store.connect = () => {
    const connection = connect.call(store);
    const { follow } = connection;
    connection.follow = (prefix, stop, see) =>
      follow.call(connection, prefix, stop, (event) => {
        if (event.type === 'changes') cost.told += event.changes.length;
        see(event);
      });
    return connection;
  };
  return cost;
}

function writesOf(ops: readonly Op[], results: readonly OpResult[]): number {
  return sum(ops, results, (op, result) =>
    op.type === 'put' ? 1 : result?.type === 'delete' ? result.deleted : 0,
  );
}

function looksOf(ops: readonly Op[], results: readonly OpResult[], prefix: string): number {
  return sum(ops, results, (op) => (op.type === 'range' && op.key.startsWith(prefix) ? 1 : 0));
}

/** Over all operations that were carried out, those of nested transactions too. */
function sum(
  ops: readonly Op[],
  results: readonly OpResult[],
  of: (op: Op, result: OpResult | undefined) => number,
): number {
  return ops.reduce((total, op, at) => {
    const result = results[at];
    if (op.type !== 'txn' || result?.type !== 'txn') return total + of(op, result);
    return total + sum(result.succeeded ? op.txn.then : (op.txn.else ?? []), result.results, of);
  }, 0);
}
