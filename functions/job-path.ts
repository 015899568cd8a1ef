import * as v from 'valibot';
import { mistake, mistakesRefusal } from '#core/cluster/check-job.ts';
import { notFound, type StoredJob } from '#core/cluster/job-record.ts';
import { type Condition, checkCondition, getJob } from '#core/cluster/jobs.ts';
import { type JobId, jobId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { checkGroup, storeOf } from './deps.ts';
import { name } from './fields.ts';
import type { Asking } from './route.ts';

/** For the document: the headers that `conditionOf` reads. */
export const conditions = {
  'If-Match': 'Only over this revision; 412 otherwise',
  'If-None-Match': '`*`: only where there is none yet; 412 otherwise',
};

/** The job that the path names. Refusals `path_invalid`, and `forbidden` for another group. */
export function jobOf({ c, caller }: Asking): { id: JobId; group: string; name: string } {
  const named = { group: c.req.param('group') ?? '', name: c.req.param('name') ?? '' };
  const wrong = Object.entries(named).filter(([, value]) => !v.is(name, value));
  if (wrong.length > 0)
    throw mistakesRefusal(
      'path_invalid',
      wrong.map(([path, value]) => mistake(path, value, '1 to 64 of [A-Za-z0-9._-]')),
    );
  checkGroup(caller, named.group);
  return { id: jobId(named.group, named.name), ...named };
}

/** The job that the path names, as it stands, if that is what If-Match asks for. Refusals also `job_not_found`, `revision_conflict`. */
export async function storedJob(asked: Asking): Promise<StoredJob & { id: JobId }> {
  const { id } = jobOf(asked);
  const job = await getJob(storeOf(asked.deps), id);
  if (job === null) throw notFound(id);
  checkCondition(id, job, conditionOf(asked));
  return { ...job, id };
}

/**
 * What If-Match and If-None-Match ask of a write (RFC 9110): entity tags of revisions, or `*`. Of a read If-None-Match asks nothing: a
 * revision does not move with the next and the last run, so whoever has it may not have what is shown.
 */
export function conditionOf({ c }: Asking): Condition {
  const match = c.req.header('if-match')?.trim();
  const reads = c.req.method === 'GET' || c.req.method === 'HEAD';
  const none = reads ? undefined : c.req.header('if-none-match')?.trim();
  if (none !== undefined && none !== '*')
    throw new Refusal('query_invalid', `If-None-Match: ${JSON.stringify(none)} is not valid; expected *`);
  return {
    ...(match === undefined ? {} : { match: match === '*' ? match : tagsOf(match) }),
    ...(none === undefined ? {} : { absent: true }),
  };
}

/** A weak tag never matches a write; a revision without its quotes is what people type. */
function tagsOf(text: string): string[] {
  return text.split(',').map((one) => one.trim().replace(/^"(.*)"$/, '$1'));
}
