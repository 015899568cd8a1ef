import * as v from 'valibot';
import { durationMs } from '#core/model/duration.ts';
import { Job } from '#core/model/job.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';
import { parseSchedule } from '#core/schedule/parse.ts';
import type { Schedule } from '#core/schedule/schedule.ts';

/** What of a job's fields decides its instants. */
export const instantFields = ['schedule', 'timezone', 'dst', 'except', 'startAt', 'endAt', 'mode'] as const;

/** The schedule of a job, null where it runs by hand only. Throws Refusal `schedule_invalid`. */
export function scheduleOf(job: Job): Schedule | null {
  if (job.schedule === null) return null;
  const { timezone, dst, except, startAt, endAt } = job;
  return parseSchedule(job.schedule, {
    timezone,
    dst,
    except,
    startAt,
    endAt,
    seed: `${job.group}/${job.name}`,
  });
}

/**
 * Reads a job as somebody sent it, with its defaults filled in. Throws a Refusal `job_invalid` (or `schedule_invalid`, where only
 * that is wrong) which names every mistake by path, value and what was expected; `at` goes before each path.
 */
export function checkJob(input: unknown, at = ''): Job {
  const mistakes: Mistake[] = [];
  const note = (path: string, value: unknown, expected: string) =>
    mistakes.push({
      path: at + path,
      message: `${at}${path}: ${show(value)} is not valid; expected ${expected}`,
      value,
      expected,
    });
  const read = v.safeParse(Job, input);
  if (!read.success) {
    for (const issue of read.issues) note(v.getDotPath(issue) ?? 'job', issue.input, expectedOf(issue));
    throw new Refusal('job_invalid', summary(mistakes), { errors: mistakes });
  }
  const job = read.output;
  if ((job.command === null) === (job.argv === null))
    note(
      'command',
      job.command,
      job.command === null ? 'command or argv' : 'either command or argv, not both',
    );
  if (job.killGrace !== '0s' && durationMs(job.killGrace) > 3_600_000)
    note('killGrace', job.killGrace, 'at most 1h');
  if (job.timeout !== null && durationMs(job.timeout) === 0)
    note('timeout', job.timeout, 'a duration above 0');
  const others = mistakes.length;
  try {
    scheduleOf(job);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    for (const one of error.errors) mistakes.push({ ...one, path: at + one.path, message: at + one.message });
  }
  if (mistakes.length > 0)
    throw new Refusal(others === 0 ? 'schedule_invalid' : 'job_invalid', summary(mistakes), {
      errors: mistakes,
    });
  return job;
}

/** What a schema's mistake says was expected, in words. */
export function expectedOf(issue: v.BaseIssue<unknown>): string {
  const said = issue.message.replace(/^expected /, '');
  if (issue.type === 'strict_object')
    return issue.expected === 'never' ? 'no such field' : `the field ${issue.expected ?? ''}`.trim();
  if (issue.message.startsWith('expected ')) return said;
  const limits: Record<string, string> = {
    max_length: `at most ${issue.expected?.replace('<=', '')} of them`,
    min_length: `at least ${issue.expected?.replace('>=', '')}`,
    max_value: `at most ${issue.expected?.replace('<=', '')}`,
    min_value: `at least ${issue.expected?.replace('>=', '')}`,
    integer: 'a whole number',
  };
  return limits[issue.type] ?? issue.expected ?? said;
}

export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

function summary(mistakes: readonly Mistake[]): string {
  const [first] = mistakes;
  const more = mistakes.length > 1 ? ` (and ${mistakes.length - 1} more)` : '';
  return `${first?.message ?? 'the job is not valid'}${more}`;
}
