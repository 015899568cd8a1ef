/** One mistake in one place. `path` is dotted from the outermost value: `schedule.1`, `retry.attempts`, `from`. */
export interface Mistake {
  path: string;
  message: string;
  value?: unknown;
  expected?: string;
}

/**
 * An expected "no": something was asked for that the rules do not allow. Faults (a store away, a bug) are thrown
 * as they come and are never refusals.
 *
 * `code` is stable for machines (`job_not_found`, `schedule_invalid`, `revision_conflict`, ...; mapped once to
 * HTTP statuses in functions/ and once to exit codes in the command line). `message` is for people and names the
 * place, the value and what was expected.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: string;
  readonly errors: readonly Mistake[];
  /** Seconds after which the same request may succeed, where that is known. */
  readonly retryAfter: number | undefined;

  constructor(
    code: string,
    message: string,
    details: { errors?: readonly Mistake[]; retryAfter?: number } = {},
  ) {
    super(message);
    this.code = code;
    this.errors = details.errors ?? [];
    this.retryAfter = details.retryAfter;
  }
}

/** A refusal about one named value. */
export function refuse(code: string, path: string, value: unknown, expected: string): Refusal {
  const message = `${path}: ${JSON.stringify(value)} is not valid; expected ${expected}`;
  return new Refusal(code, message, { errors: [{ path, message, value, expected }] });
}
