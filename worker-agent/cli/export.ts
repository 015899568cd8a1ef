import * as v from 'valibot';
import { stringify } from 'yaml';
import { formatCrontab } from '#core/crontab/format.ts';
import { Job } from '#core/model/job.ts';
import type { Context } from './commands.ts';

/** The job with what it has by default left out, as a person would write it. */
function withoutDefaults(job: Job): Record<string, unknown> {
  const blank: Record<string, unknown> = v.parse(Job, { name: job.name });
  const kept = Object.entries(job).filter(
    ([field, value]) => JSON.stringify(blank[field]) !== JSON.stringify(value),
  );
  return { name: job.name, ...Object.fromEntries(kept) };
}

export async function exportJobs(context: Context, given: readonly unknown[]): Promise<number> {
  const jobs = given.map((job) => v.parse(Job, job));
  const text =
    context.flags.crontab === true
      ? formatCrontab(jobs, {
          kind: context.flags.system === true ? 'system' : 'user',
          zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        })
      : stringify({ jobs: jobs.map(withoutDefaults) });
  context.out(text.trimEnd());
  return 0;
}
