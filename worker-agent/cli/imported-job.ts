import * as v from 'valibot';
import { Job, type JobInput } from '#core/model/job.ts';

/**
 * The job of a line. Of one that is there all stays that neither line nor variables say, also whether it may overlap and is caught up, which
 * only a new one has as with cron. A comment is no line: it describes what nobody has described yet.
 */
export function importedJob(line: JobInput, there: Job | undefined): JobInput {
  if (there === undefined) return line;
  const { overlap: _, catchUp: __, description = '', ...said } = line;
  return { ...there, argv: null, stdin: null, ...said, description: there.description || description };
}

const saidByLine: ReadonlySet<string> = new Set<keyof Job>([
  ...(['group', 'name', 'command', 'argv', 'stdin', 'shell', 'env', 'user', 'schedule', 'timezone'] as const),
]);

/** What people set on a job and no line says, where the new job of this line has it otherwise. */
export function settingsBeside(job: Job, line: JobInput): Record<string, unknown> {
  const fresh: Record<string, unknown> = { ...v.parse(Job, { name: job.name }), ...line };
  const isOwn = ([field, value]: [string, unknown]) =>
    !saidByLine.has(field) && value !== '' && JSON.stringify(value) !== JSON.stringify(fresh[field]);
  return Object.fromEntries(Object.entries(job).filter(isOwn));
}
