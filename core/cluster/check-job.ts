import * as v from 'valibot';
import { durationMs, isDuration } from '#core/model/duration.ts';
import { Job } from '#core/model/job.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';
import { parseSchedule } from '#core/schedule/parse.ts';
import type { Schedule } from '#core/schedule/schedule.ts';
import { isSecret, tellable } from './secret-values.ts';

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

/** What of a job its schedule is made from; each may be wrong beside mistakes elsewhere. */
const scheduleFields = ['schedule', 'timezone', 'dst', 'except', 'startAt', 'endAt'] as const;
const ScheduleParts = v.object({
  ...v.pick(Job, scheduleFields).entries,
  group: v.fallback(v.string(), ''),
  name: v.fallback(v.string(), ''),
});
const longestGraceMs = 3_600_000;

/**
 * Reads a job as somebody sent it, with its defaults filled in. Throws a Refusal `job_invalid` (or `schedule_invalid`, where only
 * that is wrong) which names every mistake by path, value and what was expected; `at` goes before each path.
 */
export function checkJob(input: unknown, at = ''): Job {
  const read = v.safeParse(Job, input);
  const mistakes = mistakesOf(Job, input, read.issues, 'job');
  if (typeof input === 'object' && input !== null && !Array.isArray(input))
    mistakes.push(...between(input as Partial<Record<keyof Job, unknown>>));
  const others = mistakes.length;
  mistakes.push(...scheduleMistakes(input));
  if (read.success && mistakes.length === 0) return read.output;
  const errors = mistakes.map((one) => ({ ...one, path: at + one.path, message: at + one.message }));
  throw mistakesRefusal(others === 0 ? 'schedule_invalid' : 'job_invalid', errors);
}

/** What one field's schema can't see; each looked at only where the fields themselves can be read. */
function between({ command, argv, killGrace, timeout }: Partial<Record<keyof Job, unknown>>): Mistake[] {
  const mistakes: Mistake[] = [];
  const note = (path: string, value: unknown, expected: string) =>
    mistakes.push(mistake(path, value, expected));
  const [hasCommand, hasArgv] = [(command ?? null) !== null, (argv ?? null) !== null];
  if (!hasCommand && !hasArgv) note('command', command, 'a command, or argv');
  if (hasCommand && hasArgv) note('command', command, 'either command or argv, not both');
  if (typeof killGrace === 'string' && isDuration(killGrace) && durationMs(killGrace) > longestGraceMs)
    note('killGrace', killGrace, 'at most 1h');
  if (typeof timeout === 'string' && isDuration(timeout) && durationMs(timeout) === 0)
    note('timeout', timeout, 'a duration above 0');
  return mistakes;
}

/** The schedule's own mistakes, where what it is made from can be read at all. */
function scheduleMistakes(input: unknown): Mistake[] {
  const read = v.safeParse(ScheduleParts, input);
  if (!read.success) return [];
  const { schedule, group, name, ...options } = read.output;
  try {
    parseSchedule(schedule ?? '* * * * *', { ...options, seed: `${group}/${name}` });
    return [];
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // Without a schedule its zone and dates are kept for the day that it has one: that they leave no instant is no mistake yet.
    return error.errors.filter(({ path }) => schedule !== null || path !== 'schedule');
  }
}

/** More mistakes than this are not listed: whoever sent them has other worries. */
const mostMistakes = 100;

/** One refusal of all the mistakes; its message is the first. */
export function mistakesRefusal(code: string, mistakes: readonly Mistake[]): Refusal {
  const [first] = mistakes;
  const more = mistakes.length > 1 ? ` (and ${mistakes.length - 1} more)` : '';
  const errors = mistakes.slice(0, mostMistakes);
  return new Refusal(code, `${first?.message ?? 'not valid'}${more}`, { errors });
}

/** Values of secrets are not told back; `secret`: this may be one, whatever its field is called. */
export function mistake(
  path: string,
  value: unknown,
  expected: string,
  secret: boolean = isSecret(path),
): Mistake {
  const told = tellable(value, secret);
  const isHidden = told !== value && typeof value !== 'object';
  const shown = isHidden ? 'what stands there' : show(told);
  const message = `${path}: ${shown} is not valid; expected ${expected}`;
  return { path, message, value: isHidden ? undefined : brief(told), expected };
}

/** What a schema found, by path, value and what was expected; `whole` names the outermost value. */
export function mistakesOf(
  schema: v.GenericSchema,
  input: unknown,
  issues: readonly v.BaseIssue<unknown>[] | undefined,
  whole: string,
): Mistake[] {
  if (Array.isArray(input) && isObject(schema)) return [mistake(whole, input, 'an object')];
  const known = (issues ?? [])
    .filter((issue) => !(issue.type === 'strict_object' && issue.expected === 'never'))
    .map((issue) => mistake(v.getDotPath(issue) ?? whole, issue.input, expectedOf(issue)));
  return [...known, ...unknownFields(schema, input, '')];
}

function isObject({ type }: v.GenericSchema): boolean {
  return ['object', 'strict_object', 'loose_object', 'record', 'variant'].includes(type);
}

/** What a record of the schema passes over in silence; here what is not kept is refused. */
const unkept = ['__proto__', 'constructor', 'prototype'];

/** Every field that the schema does not have or keep: valibot itself stops at the first of an object. */
function unknownFields(schema: v.GenericSchema, input: unknown, at: string): Mistake[] {
  if ('wrapped' in schema) return unknownFields(schema.wrapped as v.GenericSchema, input, at);
  if (typeof input !== 'object' || input === null) return [];
  // To valibot a list is an object without fields.
  if (Array.isArray(input) && isObject(schema)) return [mistake(at.slice(0, -1), input, 'an object')];
  if (Array.isArray(input))
    return 'item' in schema
      ? input.flatMap((one, i) => unknownFields(schema.item as v.GenericSchema, one, `${at}${i}.`))
      : [];
  if (schema.type === 'variant') return unknownFields(optionOf(schema, input), input, at);
  const given = Object.entries(input);
  if (schema.type === 'record')
    return given
      .filter(([name]) => unkept.includes(name))
      .map(([name, value]) => mistake(at + name, value, 'another name'));
  if (schema.type !== 'strict_object' || !('entries' in schema)) return [];
  const entries = schema.entries as Record<string, v.GenericSchema>;
  return given.flatMap(([name, value]) => {
    const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
    // Perhaps a secret's name, misspelt.
    if (entry === undefined) return [mistake(at + name, value, 'no such field', true)];
    return unknownFields(entry, value, `${at}${name}.`);
  });
}

/** Of several shapes the one that the value says it has; where it says none that is known, that is the mistake. */
function optionOf(schema: v.GenericSchema, input: object): v.GenericSchema {
  const { key, options } = schema as unknown as {
    key: string;
    options: { entries: Record<string, v.GenericSchema> }[];
  };
  const said = (input as Record<string, unknown>)[key];
  const found = options.find(({ entries }) => v.is(entries[key] ?? v.never(), said));
  return found === undefined ? v.any() : (found as unknown as v.GenericSchema);
}

/** What valibot calls a kind of value, in words. */
const kinds: Readonly<Record<string, string>> = {
  Object: 'an object',
  Array: 'a list',
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
};

/** What a schema's mistake says was expected, in words. */
export function expectedOf({ type, message, expected, input }: v.BaseIssue<unknown>): string {
  const said = message.replace(/^expected /, '');
  if (expected === 'never') return 'no such field';
  if (said !== message || expected === null) return said;
  const field = /^"(.*)"$/.exec(expected)?.[1];
  if (field !== undefined && type.endsWith('object')) return `the field ${field}`;
  const counted = typeof input === 'string' ? 'characters' : 'of them';
  const limits: Record<string, string> = {
    max_length: `at most ${expected.replace('<=', '')} ${counted}`,
    min_length: `at least ${expected.replace('>=', '')} ${counted}`,
    max_value: `at most ${expected.replace('<=', '')}`,
    min_value: `at least ${expected.replace('>=', '')}`,
    integer: 'a whole number',
  };
  return limits[type] ?? inWords(expected);
}

/** `("a" | "b" | "c")`, as valibot writes choices, as people do. */
function inWords(expected: string): string {
  const choices = (/^\((.+)\)$/.exec(expected)?.[1] ?? expected).split(' | ');
  const words = choices.map((choice) => /^"(.*)"$/.exec(choice)?.[1] ?? kinds[choice] ?? choice);
  const last = words.pop() ?? '';
  return words.length === 0 ? last : `${words.join(', ')} or ${last}`;
}

/** A value as a message shows it. */
export function show(value: unknown): string {
  // JSON has no word for a number beyond its range.
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(brief(value)) ?? 'nothing');
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/** A value as an answer repeats it: not the megabyte that somebody sent. */
function brief(value: unknown): unknown {
  if (typeof value === 'string') return value.length > 200 ? `${value.slice(0, 197)}...` : value;
  if (typeof value !== 'object' || value === null) return value;
  const text = JSON.stringify(value);
  return text.length > 500 ? `${text.slice(0, 197)}...` : value;
}
