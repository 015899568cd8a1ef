import * as v from 'valibot';
import { jobNotices } from './alert.ts';
import { isDuration } from './duration.ts';
import { namePattern } from './ids.ts';
import { runStates } from './run.ts';

const name = v.pipe(
  v.string(),
  v.regex(namePattern, 'expected 1 to 64 of [A-Za-z0-9._-], beginning with a letter, digit or _'),
);
const duration = v.pipe(
  v.string(),
  v.check(isDuration, 'expected a duration such as 90s, 5m, 1h30m or 250ms'),
);
const count = (min: number, max: number) => v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
/** What no command line, environment or file name of the kernel can carry, and no page show. */
const noNul = v.check((value: string) => !value.includes('\0'), 'expected text without NUL characters');
/** Half of a pair is no character: written as UTF-8 it would be another text than was saved. */
const wellFormed = v.check((value: string) => value.isWellFormed(), 'expected text without half a character');
const text = (max: number, min = 0) =>
  v.pipe(v.string(), v.minLength(min), v.maxLength(max), noNul, wellFormed);
/** An argument or a variable's value. */
const line = text(131_072);
/** What a command's environment gets beside what cron gives it. */
export const Environment = v.record(
  v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected an environment variable name')),
  line,
);

export const signalNames = ['HUP', 'INT', 'QUIT', 'KILL', 'USR1', 'USR2', 'ALRM', 'TERM'] as const;

/**
 * A job as people write it; API.md's table, field by field. Unknown fields are refused. Fields with a default may be
 * left out; `v.parse` fills them in. Whether the schedule can be read, a zone exists, and command or argv stand
 * is `checkJob` in core/schedule's and core/cluster's hands, so that the browser needs no schedule engine.
 *
 * A default that was shipped never changes: stored jobs leave out what they have by default.
 */
export const Job = v.strictObject({
  group: v.optional(name, 'default'),
  name,
  description: v.optional(text(4_096), ''),
  owner: v.optional(text(256), ''),
  tags: v.optional(v.pipe(v.array(text(64, 1)), v.maxLength(64)), () => []),
  // It is shown as a link: nothing that a browser would run.
  runbook: v.optional(
    v.nullable(
      v.pipe(
        text(2_048),
        v.check(
          (value) => /^https?:\/\/[^/\s]/.test(value) && URL.canParse(value),
          'expected an http or https URL',
        ),
      ),
    ),
    null,
  ),
  command: v.optional(v.nullable(v.pipe(line, v.minLength(1))), null),
  argv: v.optional(v.nullable(v.pipe(v.array(line), v.minLength(1), v.maxLength(4_096))), null),
  shell: v.optional(v.pipe(line, v.minLength(1)), '/bin/sh'),
  env: v.optional(Environment, () => ({})),
  cwd: v.optional(
    v.nullable(
      v.pipe(
        line,
        v.check((value) => value.startsWith('/'), 'expected an absolute path'),
      ),
    ),
    null,
  ),
  user: v.optional(
    v.nullable(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*\$?$/, 'expected a user name'))),
    null,
  ),
  stdin: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(262_144), wellFormed)), null),
  schedule: v.optional(
    v.nullable(v.union([v.string(), v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(64))])),
    null,
  ),
  timezone: v.optional(v.string(), 'UTC'),
  dst: v.optional(v.picklist(['vixie', 'skip', 'both']), 'vixie'),
  except: v.optional(v.pipe(v.array(v.string()), v.maxLength(256)), () => []),
  startAt: v.optional(v.nullable(v.string()), null),
  endAt: v.optional(v.nullable(v.string()), null),
  enabled: v.optional(v.boolean(), true),
  timeout: v.optional(v.nullable(duration), null),
  killSignal: v.optional(v.picklist(signalNames), 'TERM'),
  killGrace: v.optional(duration, '10s'),
  successCodes: v.optional(v.pipe(v.array(count(0, 255)), v.minLength(1)), () => [0]),
  retry: v.optional(
    v.strictObject({
      attempts: v.optional(count(0, 1_000), 0),
      backoff: v.optional(duration, '10s'),
      factor: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(100)), 2),
      maxDelay: v.optional(duration, '10m'),
    }),
    () => ({}),
  ),
  overlap: v.optional(v.picklist(['skip', 'queue', 'allow', 'replace']), 'skip'),
  catchUp: v.optional(v.picklist(['last', 'none', 'all']), 'last'),
  catchUpWindow: v.optional(duration, '1h'),
  guarantee: v.optional(v.picklist(['at-most-once', 'at-least-once']), 'at-most-once'),
  onLeaseLoss: v.optional(v.picklist(['continue', 'kill']), 'continue'),
  target: v.optional(
    v.strictObject({
      labels: v.optional(v.record(v.string(), v.union([v.string(), v.array(v.string())])), () => ({})),
      workers: v.optional(v.array(name), () => []),
    }),
    () => ({}),
  ),
  mode: v.optional(v.picklist(['one', 'all']), 'one'),
  output: v.optional(v.strictObject({ max: v.optional(count(0, 1_073_741_824), 10_485_760) }), () => ({})),
  retention: v.optional(duration, '30d'),
  notify: v.optional(
    v.array(
      v.strictObject({
        on: v.pipe(v.array(v.picklist(jobNotices)), v.minLength(1)),
        to: v.pipe(v.array(name), v.minLength(1)),
      }),
    ),
    () => [],
  ),
  finishBy: v.optional(v.nullable(duration), null),
});
export type Job = v.InferOutput<typeof Job>;
/** A job as it may be sent: what has a default may be left out. */
export type JobInput = v.InferInput<typeof Job>;

/** Who did something, and when (UTC ms). */
export interface Paused {
  by: string;
  at: number;
  reason: string;
  /** UTC ms, or null: until somebody resumes it. A pause is over at `until`, as a pure function of time. */
  until: number | null;
}

/** What stands under jobs/<job>. */
export interface JobRecord {
  job: Job;
  /**
   * Changes by a save only, never by pause, resume or skip, and always grows, also across delete and create:
   * the store's revision at the read that the save was judged on.
   */
  revision: string;
  /** UTC ms: instants at or below it are not due; set where the job is new, enabled, resumed, or its instants changed. */
  floor: number;
  /** Why the floor stands where it stands: what `skipped(reason)` says of the stretch below it. */
  floorWhy: 'created' | 'edited' | 'paused' | 'disabled';
  /**
   * UTC ms: what was due at or below it has its record, in every lane, by the save that ended the version in which it was due. Nobody
   * is owed one for it any more, whatever the present schedule says of that time. Left out: deciders account for all below the floor.
   */
  settled?: number;
  paused: Paused | null;
  /** Coming instants (UTC ms) that somebody left out. */
  skips: number[];
  createdAt: number;
  updatedAt: number;
  updatedBy: string;
  /** The course's cronExpr as it was saved, so that it is given back so; null for jobs made elsewhere. */
  cronExpr: string | null;
}

/** The state filter of `GET /jobs?state=`: that of the job's last run. */
export const lastStates = runStates;
