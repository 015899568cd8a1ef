import { layout as layoutOf } from '#core/cluster/keys.ts';
import type { Compare, Op, Txn } from '#core/ports/kv.ts';
import type { FaultKind } from './scenario.ts';
import type { Mistakes } from './sim-agent.ts';
import { changed, without } from './tampering.ts';

/** A classic mistake, and the trouble in which it shows. */
export interface Mistake {
  name: string;
  workers: number;
  /** The promises of which one must be seen to be broken. */
  shows: readonly string[];
  kinds: readonly FaultKind[];
  latencyMs?: number;
  /** Made anew for each seed. */
  make(): Mistakes;
}

const { workers, jobs, cursors, running, owed, cursor } = layoutOf();
const isOn = (prefix: string) => (of: Compare | Op) => 'key' in of && of.key.startsWith(prefix);
const onCursor = isOn(cursors);

/** The nested transactions that `concerns` picks, each changed. */
function each(txn: Txn, concerns: (nested: Txn) => boolean, to: (nested: Txn) => Txn): Txn {
  return changed(txn, (op) => (op.type === 'txn' && concerns(op.txn) ? { ...op, txn: to(op.txn) } : op));
}

const claims = ({ then }: Txn) => then.some((op) => op.type === 'put' && isOn(running)(op));
const closes = ({ then }: Txn) =>
  then.some((op) => op.type === 'delete' && isOn(running)(op)) &&
  then.some((op) => op.type === 'put' && isOn(owed)(op));

/** A save that re-schedules by setting the cursor to its own now, a delete that takes the cursor with it. */
function setsCursor(txn: Txn): Txn {
  return changed(txn, (op) => {
    if (op.type === 'delete' && isOn(jobs)(op))
      return [op, { type: 'delete', key: cursor(op.key.slice(jobs.length), '~') }];
    if (op.type !== 'put' || !isOn(jobs)(op)) return op;
    const { floor } = JSON.parse(op.value) as { floor: number };
    const value = JSON.stringify({ instant: floor, from: 'api', why: 'save', run: null });
    return [op, { type: 'put', key: cursor(op.key.slice(jobs.length), '~'), value }];
  });
}

function leasesClaims(): Mistakes {
  const leases = new Map<string, string>();
  return {
    tamper: (txn) =>
      changed(txn, (op) => {
        if (op.type !== 'put') return op;
        if (isOn(workers)(op) && op.lease !== undefined) leases.set(op.key.slice(workers.length), op.lease);
        const lease = isOn(running)(op)
          ? leases.get((JSON.parse(op.value) as { worker: string }).worker)
          : undefined;
        return lease === undefined ? op : { ...op, lease };
      }),
  };
}

export const mistakes: readonly Mistake[] = [
  {
    name: 'lock, run, unlock instead of a claim',
    workers: 3,
    shows: ['P1'],
    kinds: [],
    make: () => ({
      tamper: (txn) =>
        each(txn, claims, (claim) => ({
          ...without(claim, (compare) => !onCursor(compare)),
          then: claim.then.filter((op) => !(op.type === 'put' && onCursor(op))),
        })),
    }),
  },
  {
    name: 'a leased claim',
    workers: 2,
    shows: ['P2', 'P6'],
    kinds: ['kill', 'leaseLoss'],
    make: leasesClaims,
  },
  {
    name: 'a save or a delete that sets the cursor back',
    workers: 2,
    shows: ['P1'],
    kinds: [],
    make: () => ({ apiTamper: setsCursor }),
  },
  {
    name: 'release without the deadline',
    workers: 2,
    shows: ['P1'],
    kinds: ['freeze', 'freeze', 'freeze'],
    make: () => ({ ignoresDeadline: true }),
  },
  {
    name: 'close without the owner compare',
    workers: 3,
    shows: ['P1', 'P12'],
    kinds: ['kill'],
    latencyMs: 400,
    make: () => ({
      tamper: (txn) => each(txn, closes, (close) => without(close, (compare) => !isOn(workers)(compare))),
    }),
  },
  {
    name: 'two transactions of one job in a request',
    workers: 2,
    shows: ['P6'],
    kinds: [],
    make: () => ({ careless: true }),
  },
  {
    name: 'giving up on an unknown claim',
    workers: 2,
    shows: ['P2', 'P11'],
    kinds: [],
    make: () => ({ givesUp: true }),
  },
  {
    name: 'a later terminal record that wins',
    workers: 2,
    shows: ['P2'],
    kinds: ['pause', 'cut'],
    make: () => ({ lastTerminalWins: true }),
  },
  {
    name: 'resuming a watch from the revision of its header',
    workers: 2,
    shows: ['P10'],
    kinds: ['deaf', 'cut'],
    make: () => ({ hears: (event, { resumed }) => (resumed && event.type === 'changes' ? null : event) }),
  },
  {
    name: 'killing by the name of the job',
    workers: 2,
    shows: ['P8'],
    kinds: [],
    make: () => ({
      hears: (event, { host }) => {
        if (event.type !== 'changes') return event;
        const { kills } = layoutOf();
        const changes = event.changes.map((change) => {
          if (change.type !== 'put' || !change.entry.key.startsWith(kills)) return change;
          const [group, name] = change.entry.key.slice(kills.length).split('~');
          const other = [...host.processes.keys()].find((run) => run.startsWith(`${group}~${name}~`));
          return other === undefined
            ? change
            : { ...change, entry: { ...change.entry, key: `${kills}${other}` } };
        });
        return { ...event, changes };
      },
    }),
  },
  {
    name: 'ignoring compaction',
    workers: 2,
    shows: ['P10'],
    kinds: ['deaf', 'cut', 'compact', 'compact'],
    make: () => ({ hears: (event, { first }) => (event.type === 'list' && !first ? null : event) }),
  },
];
