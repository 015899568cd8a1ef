import { jobDefaults } from '#core/cluster/records.ts';
import type { Job, JobRecord } from '#core/model/job.ts';
import { Interned } from '#core/schedule/interned.ts';

const longestShared = 64;
const texts = new Interned<string>(10_000);
/** Whose texts are their own. */
const own: ReadonlySet<string> = new Set(['name', 'command', 'stdin'] satisfies (keyof Job)[]);
const defaults = new Map(
  Object.entries(jobDefaults).map(([field, shared]) => [field, { shared, json: JSON.stringify(shared) }]),
);

/**
 * The same record in a third of the room, for keeping: a mirror holds each of 100,000 jobs. What a job has by default is one object for
 * all of them, so are texts that many have in common, and a spread has V8 keep the fields in a row instead of in a hash table.
 */
export function leanRecord(record: JobRecord): JobRecord {
  const job: Record<string, unknown> = { ...record.job };
  for (const field of Object.keys(job)) job[field] = lean(field, job[field]);
  return { ...record, job: job as Job };
}

function lean(field: string, value: unknown): unknown {
  if (typeof value === 'string')
    return own.has(field) || value.length > longestShared
      ? value
      : (texts.get(value) ?? texts.set(value, value));
  const standard = defaults.get(field);
  const same = typeof value === 'object' && value !== null && JSON.stringify(value) === standard?.json;
  return same ? standard.shared : value;
}
