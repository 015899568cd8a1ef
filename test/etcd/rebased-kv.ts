import type {
  Change,
  Compare,
  Entry,
  FollowEvent,
  Kv,
  Op,
  OpResult,
  Range,
  RangeOptions,
  Revision,
  Txn,
} from '#core/ports/kv.ts';

const greatest = 2n ** 63n - 1n;

/**
 * What lies below `prefix` in a store that was written before, shown as a store of its own whose first revision is the present one:
 * so that what is promised of a new store can be tried on one server many times. Nobody else may write to it meanwhile.
 */
export function rebased(kv: Kv, prefix: string, present: Revision): Kv {
  const offset = BigInt(present) - 1n;
  const up = (revision: Revision) => {
    if (revision === '0') return revision;
    const real = BigInt(revision) + offset;
    return String(real > greatest ? greatest : real);
  };
  const down = (revision: Revision) => (revision === '0' ? revision : String(BigInt(revision) - offset));
  const inside = <R extends Range>(it: R): R => ({
    ...it,
    // Empty keys are refused, and stay so.
    key: it.key && prefix + it.key,
    ...(it.end !== undefined && { end: prefix + it.end }),
  });
  const bare = (key: string) => key.slice(prefix.length);
  const entry = (it: Entry): Entry => ({
    ...it,
    key: bare(it.key),
    create: down(it.create),
    mod: down(it.mod),
  });
  const result = (it: OpResult): OpResult => {
    if (it.type === 'range') return { ...it, entries: it.entries.map(entry) };
    return it.type === 'txn' ? { ...it, results: it.results.map(result) } : it;
  };
  const compare = (it: Compare): Compare =>
    inside('revision' in it ? { ...it, revision: up(it.revision) } : it);
  const op = (it: Op): Op => (it.type === 'txn' ? { ...it, txn: txn(it.txn) } : inside(it));
  const txn = (it: Txn): Txn => ({
    compare: it.compare.map(compare),
    then: it.then.map(op),
    ...(it.else && { else: it.else.map(op) }),
  });
  const change = (it: Change): Change =>
    it.type === 'put' ? { ...it, entry: entry(it.entry) } : { ...it, key: bare(it.key), mod: down(it.mod) };
  const told = (it: FollowEvent): FollowEvent =>
    it.type === 'list'
      ? { ...it, revision: down(it.revision), entries: it.entries.map(entry) }
      : { ...it, revision: down(it.revision), changes: it.changes.map(change) };
  const options = ({ revision, ...rest }: RangeOptions): RangeOptions => ({
    ...rest,
    ...(revision !== undefined && { revision: up(revision) }),
  });
  return {
    async range(range, asked = {}) {
      const answer = await kv.range(inside(range), options(asked));
      return { ...answer, revision: down(answer.revision), entries: answer.entries.map(entry) };
    },
    async txn(it) {
      const answer = await kv.txn(txn(it));
      return { ...answer, revision: down(answer.revision), results: answer.results.map(result) };
    },
    grant: (ttlMs) => kv.grant(ttlMs),
    renew: (lease) => kv.renew(lease),
    revoke: (lease) => kv.revoke(lease),
    follow: (keys, stop, see) => kv.follow(prefix + keys, stop, (event) => see(told(event))),
    compact: (revision) => kv.compact(up(revision)),
    close: () => kv.close(),
  };
}
