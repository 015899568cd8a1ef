import * as v from 'valibot';
import { Found, listOf, Version } from '../answers.ts';
import { type Caller, hasRole } from '../deps.ts';
import { defined, number, paging } from '../fields.ts';
import { jobOf } from '../job-path.ts';
import { route } from '../route.ts';
import { iso, isoOrNull, masked } from '../views.ts';
import { atJob } from './jobs.ts';

/** Of its logs one search reads at most this. */
const searchedBytes = 64 * 1_048_576;
const foundLines = 500;

/** What a job was, and what its runs have said. */
export const jobPastRoutes = [
  route({
    ...{ method: 'GET', path: `${atJob}/versions`, role: 'viewer', summary: 'What a job was before' },
    ...{ query: v.strictObject(paging), answer: listOf(Version) },
    async handle(asked) {
      const { c, deps, caller, query } = asked;
      const { id } = jobOf(asked);
      const page = await deps.history.audit({ ...defined(query), job: id, limit: query.limit });
      const items = page.items
        .filter(({ what }) => /^job\.(create|update|delete)$/.test(what))
        .map(({ at, who, what, before, after, requestId }) => ({
          ...{ at: iso(at), who, what, requestId },
          ...{ before: versionFor(caller, before), after: versionFor(caller, after) },
        }));
      return c.json({ items, next: page.next });
    },
  }),
  route({
    ...{ method: 'GET', path: `${atJob}/search`, role: 'viewer', summary: "Search a job's logs" },
    query: v.strictObject({
      text: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
      days: v.optional(number(1, 36_500), '7'),
      cursor: paging.cursor,
    }),
    answer: Found,
    async handle(asked) {
      const { c, deps, query } = asked;
      const { group, name } = jobOf(asked);
      const { text, days, cursor } = query;
      const { lines, complete, next, reachedAt } = await deps.history.search({
        ...{ group, name, ...defined({ text, cursor }), maxBytes: searchedBytes, limit: foundLines },
        since: deps.clock.now() - days * 86_400_000,
      });
      return c.json({
        lines: lines.map((line) => ({ ...line, at: iso(line.at) })),
        ...{ complete, next, reachedAt: isoOrNull(reachedAt) },
      });
    },
  }),
];

/** A job as the audit has kept it, which holds what its environment held. */
function versionFor(caller: Caller, job: unknown): unknown {
  if (hasRole(caller, 'editor') || typeof job !== 'object' || job === null || !('env' in job)) return job;
  return { ...job, env: masked(job.env ?? {}) };
}
