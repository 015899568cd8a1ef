import { refuse } from './refusal.ts';

/** What a group or a job may be called: 1 to 64 of these, beginning with a letter, a digit or `_`. */
export const namePattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;

/** `group/name`: how a job is called wherever one text names it. It is also its part of a store key. */
export type JobId = string;
/** `group~name~20261122T163500.000Z~1[~worker]`; a manual run has its order's id in the instant's place. */
export type RunId = string;

export function jobId(group: string, name: string): JobId {
  return `${group}/${name}`;
}

/** Reads `name` (group `default`) or `group/name`; Refusal `name_invalid` otherwise. */
export function parseJobId(text: string, group = 'default'): { group: string; name: string } {
  const parts = text.split('/');
  const [first = '', second] = parts;
  const read = second === undefined ? { group, name: first } : { group: first, name: second };
  if (parts.length > 2 || !namePattern.test(read.group) || !namePattern.test(read.name))
    throw refuse(
      'name_invalid',
      'job',
      text,
      'NAME or GROUP/NAME, each 1 to 64 of [A-Za-z0-9._-] beginning with a letter, digit or _',
    );
  return read;
}

/** An instant as ids carry it: `20261122T163500.000Z`; sorts as time does. */
export function instantText(instantMs: number): string {
  return new Date(instantMs).toISOString().replace(/[-:]/g, '');
}

const instantShape = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2}\.\d{3})Z$/;

/** The instant (UTC ms) that a text from `instantText` names, or null. */
export function parseInstantText(text: string): number | null {
  const iso = text.replace(instantShape, '$1-$2-$3T$4:$5:$6Z');
  const ms = iso === text ? Number.NaN : Date.parse(iso);
  return Number.isNaN(ms) ? null : ms;
}

export interface RunParts {
  group: string;
  name: string;
  /** The instant's text, an order's id, or `<order>.<instant>` for a backfilled one. */
  cause: string;
  attempt: number;
  /** Set where every worker runs the job (mode all). */
  worker: string | null;
}

export function runId(parts: RunParts): RunId {
  const id = `${parts.group}~${parts.name}~${parts.cause}~${parts.attempt}`;
  return parts.worker === null ? id : `${id}~${parts.worker}`;
}

/** The parts of a run's id; Refusal `run_id_invalid` for anything that runId cannot have made. */
export function parseRunId(id: string): RunParts {
  const [group = '', name = '', cause = '', attempt = '', worker, ...rest] = id.split('~');
  const good =
    namePattern.test(group) &&
    namePattern.test(name) &&
    /^[A-Za-z0-9._-]+$/.test(cause) &&
    /^[1-9]\d{0,5}$/.test(attempt) &&
    (worker === undefined || namePattern.test(worker)) &&
    rest.length === 0;
  if (!good) throw refuse('run_id_invalid', 'run', id, 'GROUP~NAME~INSTANT-OR-ORDER~ATTEMPT[~WORKER]');
  return { group, name, cause, attempt: Number(attempt), worker: worker ?? null };
}
