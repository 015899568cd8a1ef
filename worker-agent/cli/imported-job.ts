import type { Job, JobInput } from '#core/model/job.ts';

/**
 * The job of a line. Of one that is there all stays that neither line nor variables say, also whether it may overlap and is caught up, which
 * only a new one has as with cron. A comment is no line: it describes what nobody has described yet.
 */
export function importedJob(line: JobInput, there: Job | undefined): JobInput {
  if (there === undefined) return line;
  const { overlap: _, catchUp: __, description = '', ...said } = line;
  return { ...there, argv: null, stdin: null, ...said, description: there.description || description };
}
