import * as v from 'valibot';
import { Job, type JobRecord } from '#core/model/job.ts';
import { isTerminal, runStates, triggers } from '#core/model/run.ts';
import type { Entry } from '#core/ports/kv.ts';

const ms = v.pipe(v.number(), v.integer());
const orNull = <T extends v.GenericSchema>(schema: T) => v.nullable(schema);

/** Under jobs/<job>; the type's fields are explained at JobRecord in core/model/job.ts. */
export const JobValue = v.object({
  job: Job,
  revision: v.string(),
  floor: ms,
  floorWhy: v.picklist(['created', 'edited', 'paused', 'disabled']),
  settled: v.exactOptional(ms),
  paused: orNull(v.object({ by: v.string(), at: ms, reason: v.string(), until: orNull(ms) })),
  skips: v.array(ms),
  createdAt: ms,
  updatedAt: ms,
  updatedBy: v.string(),
  cronExpr: orNull(v.string()),
});

/** What a job has where nothing else is said, under a name that means nothing. */
export const jobDefaults: Job = v.parse(Job, { name: 'any' });

/**
 * What is written under jobs/<job>: without what the job has by default, which is most of it, is filled in on reading, and with
 * 100,000 jobs would fill the memory.
 */
export function encodeJob(record: JobRecord): string {
  const { name } = record.job;
  const said = Object.entries(record.job).filter(
    ([field, value]) => JSON.stringify(value) !== JSON.stringify(jobDefaults[field as keyof Job]),
  );
  return JSON.stringify({ ...record, job: { ...Object.fromEntries(said), name } });
}

/** Under cursors/<job>/<lane>: the last instant of this lane that somebody decided. */
export const CursorValue = v.object({
  instant: ms,
  /** The decider's worker id. */
  from: v.string(),
  /** `run`, `overlap`, `paused`, `edited`, `missed`, `catch-up`, ... */
  why: v.string(),
  run: orNull(v.string()),
});
export type CursorValue = v.InferOutput<typeof CursorValue>;

/** Under running/<job>/<lane>/<run>. Not leased; its create revision is the run's fence. */
export const RunningValue = v.object({
  worker: v.string(),
  incarnation: v.string(),
  state: v.picklist(['claimed', 'waiting']),
  /** null for a manual run. */
  instant: orNull(ms),
  attempt: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** How often an attempt of this run was lost with its worker. */
  losses: v.number(),
  /** How many instants this one stands for (catch-up `last` covers what came before), and the first of them. */
  covers: orNull(v.object({ from: ms, count: v.number() })),
  /** How long its host needs to end it when the lease is lost (`onLeaseLoss: kill`): it is closed no sooner. Left out: it lives on. */
  graceMs: v.optional(ms),
  /** A waiting attempt is not claimed before (UTC ms). */
  notBefore: ms,
  at: ms,
  trigger: v.picklist(triggers),
  /** The order it came from. */
  order: orNull(v.string()),
  by: orNull(v.string()),
  env: v.record(v.string(), v.string()),
});
export type RunningValue = v.InferOutput<typeof RunningValue>;

const terminal = v.pipe(
  v.picklist(runStates),
  v.check(isTerminal, 'Expected the state of a run that has ended'),
);

/**
 * Under owed/<id>: a terminal record, or a stretch, that History may not have yet. Of the Run only that is judged without which
 * nobody could show it: later versions may have written more.
 */
export const OwedValue = v.object({
  run: v.looseObject({
    ...{
      id: v.string(),
      group: v.string(),
      name: v.string(),
      state: terminal,
      trigger: v.picklist(triggers),
    },
    ...{ instant: orNull(ms), until: orNull(ms), count: v.number(), attempt: v.number() },
    ...{ plannedAt: orNull(ms), claimedAt: orNull(ms), startedAt: orNull(ms), endedAt: orNull(ms) },
    ...{ reason: v.string(), expireAt: orNull(ms) },
  }),
  at: ms,
  by: v.string(),
});
export type OwedValue = v.InferOutput<typeof OwedValue>;

/** Under orders/<job>/<id>[~worker]: a request to run. */
export const OrderValue = v.object({
  kind: v.picklist(['run', 'backfill', 'catch-up']),
  /** backfill, catch-up: instants in [from, to]; null for run. */
  from: orNull(ms),
  to: orNull(ms),
  /** The next instant to run, null when none is left or for run. */
  next: orNull(ms),
  /** catch-up: how many are left with that one, so that who ends it under another schedule can tell. Left out: it is not known. */
  left: v.exactOptional(v.number()),
  env: v.record(v.string(), v.string()),
  /** The only worker that may take it, or null: whoever is home. */
  worker: orNull(v.string()),
  /** UTC ms: a run order not taken by then is missed(expired); null for the other kinds. */
  expiresAt: orNull(ms),
  /** The run that took it last; kept 24 h after the last so that a repeated request finds it. */
  taken: orNull(v.object({ run: v.string(), at: ms })),
  done: v.boolean(),
  by: v.string(),
  at: ms,
});
export type OrderValue = v.InferOutput<typeof OrderValue>;

/** Under kills/<run>. The worker signs it when it has signalled. */
export const KillValue = v.object({
  by: v.string(),
  at: ms,
  expiresAt: ms,
  signalledAt: orNull(ms),
  confirmedAt: orNull(ms),
  /** null: the job's own killSignal and killGrace. */
  signal: orNull(v.string()),
  graceMs: orNull(ms),
});
export type KillValue = v.InferOutput<typeof KillValue>;

export const DrainValue = v.object({ by: v.string(), at: ms });
export type DrainValue = v.InferOutput<typeof DrainValue>;

export const roles = ['viewer', 'operator', 'editor', 'admin'] as const;
export type Role = (typeof roles)[number];

/** Under tokens/<id>: only the hash of the secret is kept. */
export const TokenValue = v.object({
  id: v.string(),
  name: v.string(),
  /** SHA-256 of the secret, hex: it has 256 bits of chance, so a slow hash would add nothing. */
  hash: v.string(),
  role: v.picklist(roles),
  /** null: every group. */
  groups: orNull(v.array(v.string())),
  createdAt: ms,
  createdBy: v.string(),
});
export type TokenValue = v.InferOutput<typeof TokenValue>;

/** Under workers/<id>, leased: WorkerRecord of core/model. */
export const WorkerValue = v.object({
  id: v.string(),
  host: v.string(),
  addresses: v.array(v.string()),
  labels: v.record(v.string(), v.string()),
  version: v.string(),
  state: v.picklist(['live', 'draining', 'away']),
  since: ms,
  capacity: v.number(),
  tzdata: v.string(),
  switchesUser: v.boolean(),
  clockSkewMs: orNull(v.number()),
  full: v.optional(v.boolean(), false),
});

export type WorkerValue = v.InferOutput<typeof WorkerValue>;

/** What a key holds, or why it can't be read: a value that isn't ours stops nobody, it is named and passed over. */
export type Decoded<T> = { ok: true; value: T; entry: Entry } | { ok: false; key: string; problem: string };

export function decode<S extends v.GenericSchema>(schema: S, entry: Entry): Decoded<v.InferOutput<S>> {
  let json: unknown;
  try {
    json = JSON.parse(entry.value);
  } catch {
    // Not JSON at all: somebody else's key, or a damaged one. Named, never fatal.
    return { ok: false, key: entry.key, problem: 'is not JSON' };
  }
  const read = v.safeParse(schema, json);
  if (read.success) return { ok: true, value: read.output, entry };
  const [issue] = read.issues;
  const path = issue && v.getDotPath(issue);
  return { ok: false, key: entry.key, problem: `${path ?? 'its value'}: ${issue.message}` };
}
