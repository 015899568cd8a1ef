import * as v from 'valibot';
import { Job, type JobInput } from '#core/model/job.ts';

/** The job with what it has by default left out, as a person would write it. */
export function withoutDefaults(job: JobInput): Record<string, unknown> {
  const blank: Record<string, unknown> = v.parse(Job, { name: job.name });
  const kept = Object.entries(job).filter(
    ([field, value]) => JSON.stringify(blank[field]) !== JSON.stringify(value),
  );
  return { name: job.name, ...Object.fromEntries(kept) };
}
