import type { CursorValue, RunningValue } from '#core/cluster/records.ts';
import type { RunId } from '#core/model/ids.ts';
import type { JobRecord } from '#core/model/job.ts';
import type { RunState } from '#core/model/run.ts';
import type { Entry, Revision, Txn } from '#core/ports/kv.ts';

/** A request that a worker waits for. */
export interface Request {
  kind: 'claim' | 'decide' | 'adopt' | 'finish' | 'close';
  run: RunId;
  instant: number;
  txn: Txn;
  /** An earlier try of it may have been applied, or may be yet. */
  doubt: boolean;
}

export interface HeldRun {
  mod: Revision;
  fence: Revision;
  incarnation: Revision;
  instant: number;
  phase: 'claimed' | 'released' | 'ended';
}

export interface Worker {
  up: boolean;
  /** null: not registered in this life. */
  incarnation: Revision | null;
  /** By its own clock its lease has run out. */
  lapsed: boolean;
  /** Whether every key under its name is under its incarnation. */
  adopted: boolean;
  /** Its mirror: the job and the other's registration, as it last heard. */
  job: { record: JobRecord; mod: Revision } | null;
  other: Revision | null;
  /** The cursor as it last read it; null: not read yet. */
  lane: { instant: number | null; mod: Revision } | null;
  out: Request | null;
  /** A claim in doubt that was refused: its key may come to be as long as this cursor stands. */
  intent: { run: RunId; cursorMod: Revision; jobMod: Revision } | null;
  runs: Record<RunId, HeldRun>;
  /** An overlap seen ahead of its instant: asked again at it. */
  waits: number | null;
}

/** A wrapper that was released, or its command. It outlives its agent. */
export interface Process {
  worker: number;
  state: 'woken' | 'running' | 'exited' | 'refused';
  /** The lease under which it was released has run out by the host's clock. */
  lapsed: boolean;
  fence: Revision;
}

/** Everything there is, as plain data: a step makes a new one. */
export interface State {
  /** Which of the times it is. */
  phase: number;
  revision: number;
  entries: Entry[];
  workers: [Worker, Worker];
  processes: Record<RunId, Process>;
  /** What was ever started, and how often. */
  starts: Record<RunId, number>;
  /** The first terminal record of each run, at History or owed to it. */
  records: Record<RunId, RunState>;
  /** Requests whose sender has given them up, and that may yet arrive. */
  late: Txn[];
  /** What somebody asks of the API: each was decided, when it was that time, and its transaction is under way. */
  acts: { txn: Txn; at: number }[];
  /** The time at which a delete of the job was decided that has come through; null: none has. */
  deletedAt: number | null;
  /** What is left of each fault and act. */
  budget: Record<string, number>;
}

export type { CursorValue, RunningValue };

/** Quoted revisions, at any depth of nested JSON. */
const revisions = /(\\*")(\d+)(\\*")/g;

/** What a transaction is told apart by: what it compares, and what it touches. The values that it writes follow from these. */
const shapes = new WeakMap<Txn, unknown>();
function shapeOf(txn: Txn): unknown {
  let shape = shapes.get(txn);
  if (shape === undefined) {
    const compares = txn.compare.map((one) => [one.key, one.op, 'revision' in one ? one.revision : null]);
    const ops = txn.then.map((op) => (op.type === 'txn' ? shapeOf(op.txn) : `${op.type} ${op.key}`));
    shape = [compares, ops];
    shapes.set(txn, shape);
  }
  return shape;
}

/** One text for all states that differ in the numbers of their revisions only: the protocol asks whether two are the same, or 0. */
export function canonical(state: State): string {
  const { entries, workers, late, acts, revision: _, ...rest } = state;
  const text = JSON.stringify([
    rest,
    entries.map(({ key, create, mod, value }) => [key, create, mod, value]),
    workers.map(({ job, out, ...worker }) => [
      worker,
      job === null ? null : [job.mod, job.record.floor],
      out === null ? null : [out.kind, out.run, out.doubt, shapeOf(out.txn)],
    ]),
    late.map(shapeOf),
    acts.map(({ txn, at }) => [at, shapeOf(txn)]),
  ]);
  const names = new Map([['0', '0']]);
  return text.replace(revisions, (_, open: string, digits: string, close: string) => {
    let name = names.get(digits);
    if (name === undefined) {
      name = String(names.size);
      names.set(digits, name);
    }
    return open + name + close;
  });
}
