import * as v from 'valibot';
import { channelTypes } from '#core/cluster/channels.ts';
import { roles } from '#core/cluster/records.ts';
import { fleetNotices, jobNotices } from '#core/model/alert.ts';
import { Job } from '#core/model/job.ts';
import { runStates, triggers } from '#core/model/run.ts';
import { workerStates } from '#core/model/worker.ts';

/**
 * What the API answers, as schemas: the views are typed by them, the OpenAPI document is made from them, and the tests hold every
 * answer to them.
 */
const time = v.pipe(v.string(), v.isoTimestamp());
const orNull = <S extends v.GenericSchema>(schema: S) => v.nullable(schema);
const whole = v.pipe(v.number(), v.integer());
const text = v.string();

/** The stores that did not answer: what only they know is left out (null, or not in the list). */
const away = v.array(v.picklist(['history']));

export const KillView = v.strictObject({
  by: text,
  requestedAt: time,
  signalledAt: orNull(time),
  confirmedAt: orNull(time),
  certain: orNull(v.boolean()),
});

export const RunView = v.strictObject({
  id: text,
  group: text,
  name: text,
  instant: orNull(time),
  until: orNull(time),
  count: whole,
  attempt: whole,
  trigger: v.picklist(triggers),
  state: v.picklist(runStates),
  reason: text,
  worker: orNull(text),
  incarnation: orNull(text),
  plannedAt: orNull(time),
  claimedAt: orNull(time),
  startedAt: orNull(time),
  endedAt: orNull(time),
  lateMs: orNull(v.number()),
  durationMs: orNull(v.number()),
  exitCode: orNull(whole),
  signal: orNull(text),
  bytes: whole,
  droppedBytes: whole,
  tail: text,
  kill: orNull(KillView),
  by: orNull(text),
  fence: orNull(text),
  command: orNull(text),
  also: orNull(v.record(v.string(), v.unknown())),
  expireAt: orNull(time),
});
export type RunView = v.InferOutput<typeof RunView>;

export const JobView = v.strictObject({
  job: Job,
  revision: text,
  createdAt: time,
  updatedAt: time,
  updatedBy: text,
  paused: orNull(v.strictObject({ by: text, at: time, reason: text, until: orNull(time) })),
  skips: v.array(time),
  next: v.array(time),
  last: orNull(RunView),
  running: v.array(RunView),
  away,
});
export type JobView = v.InferOutput<typeof JobView>;

export const WorkerAnswer = v.strictObject({
  id: text,
  host: text,
  addresses: v.array(text),
  labels: v.record(v.string(), text),
  version: text,
  state: v.picklist(workerStates),
  since: time,
  lastBeat: orNull(time),
  capacity: whole,
  running: orNull(whole),
  revision: orNull(text),
  clockSkewMs: orNull(v.number()),
  tzdata: text,
  cpu: orNull(v.number()),
  memory: orNull(v.number()),
});
export type WorkerAnswer = v.InferOutput<typeof WorkerAnswer>;

/** Without History there are no load figures in it, and none of the workers that are gone. */
export const Workers = v.strictObject({ items: v.array(WorkerAnswer), next: orNull(text), away });

export const Findings = v.strictObject({
  items: v.array(
    v.strictObject({ code: text, level: v.picklist(['error', 'warning']), what: text, advice: text }),
  ),
});

export const Token = v.strictObject({
  id: text,
  name: text,
  role: v.picklist(roles),
  groups: orNull(v.array(text)),
  createdAt: time,
  createdBy: text,
});
/** The only answer that holds the token itself. */
export const NewToken = v.strictObject({ ...Token.entries, token: text });
export const Me = v.strictObject({ name: text, role: v.picklist(roles), groups: orNull(v.array(text)) });

export const Ordered = v.strictObject({ order: orNull(text), run: orNull(text), runs: v.array(text) });
export const Backfilled = v.strictObject({ orders: v.array(text), runs: v.array(text), count: whole });
export const LogPart = v.strictObject({
  text,
  from: whole,
  next: whole,
  done: v.boolean(),
  droppedBytes: whole,
});
export const Found = v.strictObject({
  lines: v.array(v.strictObject({ run: text, at: time, offset: whole, line: text })),
  complete: v.boolean(),
  next: orNull(text),
  reachedAt: orNull(time),
});
export const Version = v.strictObject({
  at: time,
  who: text,
  what: text,
  before: v.unknown(),
  after: v.unknown(),
  requestId: text,
});
export const Audited = v.strictObject({
  ...Version.entries,
  id: text,
  job: orNull(text),
  target: text,
});
export const Changes = v.strictObject({
  changes: v.array(
    v.strictObject({
      group: text,
      name: text,
      action: v.picklist(['create', 'update', 'delete', 'unchanged']),
      diff: v.array(v.strictObject({ path: text, from: v.unknown(), to: v.unknown() })),
    }),
  ),
  refused: v.array(v.strictObject({ line: whole, text, reason: text })),
});
export const Meaning = v.strictObject({
  normal: text,
  sentence: text,
  next: v.array(v.strictObject({ instant: time, local: text, note: orNull(text) })),
  warnings: v.array(text),
});
export const WhyAnswer = v.strictObject({
  instant: time,
  state: text,
  sentence: text,
  run: orNull(text),
  evidence: v.array(v.strictObject({ at: orNull(time), what: text, source: text })),
  away,
});
export const Stats = v.strictObject({
  items: v.array(
    v.strictObject({
      at: time,
      counts: v.record(v.string(), whole),
      durationP50: orNull(v.number()),
      durationP99: orNull(v.number()),
      lateP50: orNull(v.number()),
      lateP99: orNull(v.number()),
    }),
  ),
});
export const Forecast = v.strictObject({
  items: v.array(v.strictObject({ at: time, count: whole, jobs: whole })),
  /** The next instant of each of those jobs that come first, the soonest first. */
  first: v.array(v.strictObject({ group: text, name: text, instant: time })),
  /** Instants of some jobs were too many to count: their share is by the rate of those counted. */
  estimated: v.boolean(),
});
export const Channel = v.strictObject({
  name: text,
  type: v.picklist(channelTypes),
  url: text,
  /** Whether its messages are signed. */
  signed: v.boolean(),
  from: orNull(text),
  to: v.array(text),
  on: v.array(v.picklist(fleetNotices)),
  quiet: orNull(v.strictObject({ from: text, to: text, timezone: text })),
  updatedAt: time,
  updatedBy: text,
});
export const Delivery = v.strictObject({ delivered: v.boolean(), status: orNull(whole), detail: text });
export const Alert = v.strictObject({
  id: text,
  kind: v.picklist([...jobNotices, ...fleetNotices]),
  about: text,
  job: orNull(text),
  run: orNull(text),
  worker: orNull(text),
  at: time,
  title: text,
  text,
  to: v.array(text),
  open: v.boolean(),
  endedAt: orNull(time),
  told: v.array(v.strictObject({ channel: text, at: time })),
  /** Whether somebody is still to be told. */
  waits: v.boolean(),
  problem: orNull(text),
  partOf: orNull(text),
});

/** The course's answers: HTTP 200, whatever has happened. */
export const Errno = v.strictObject({ errno: v.picklist([0, -1]), msg: text, data: v.unknown() });

export const listOf = <S extends v.GenericSchema>(items: S) =>
  v.strictObject({ items: v.array(items), next: orNull(text) });

/** How one signs in, beside tokens: what a page needs to send people to the provider; null: there is none. */
export const SignInWays = v.strictObject({
  oidc: orNull(
    v.strictObject({
      issuer: text,
      clientId: text,
      scopes: text,
      authorizationEndpoint: v.pipe(text, v.url()),
    }),
  ),
});
const short = v.pipe(text, v.minLength(1), v.maxLength(4_096));
/** What a provider sent people back with, and what they were sent with. */
export const SignInCode = v.strictObject({
  code: short,
  verifier: v.pipe(
    text,
    v.regex(/^[A-Za-z0-9._~-]{43,128}$/, 'expected 43 to 128 of [A-Za-z0-9._~-] (RFC 7636)'),
  ),
  redirectUri: v.pipe(short, v.url('expected a URL')),
  nonce: v.pipe(text, v.minLength(16), v.maxLength(256)),
});
/** A bearer token, good for so many seconds. */
export const SignedIn = v.strictObject({ token: text, expiresIn: whole });
/** Where the provider would end its own session. */
export const SignedOut = v.strictObject({ endSessionEndpoint: orNull(text) });

/** What the OpenAPI document names once and refers to. */
export const components = {
  ...{ Run: RunView, JobView, Worker: WorkerAnswer, Token, LogPart, Why: WhyAnswer },
} as const;
