import * as v from 'valibot';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { checkJob } from '#core/cluster/check-job.ts';
import { applyJobs } from '#core/cluster/jobs.ts';
import { parseCrontab } from '#core/crontab/parse.ts';
import type { Job } from '#core/model/job.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';
import { audit } from '../audit.ts';
import { mayTouch, storeOf } from '../deps.ts';
import { flag, name } from '../fields.ts';
import { type Asked, parseJson, route } from '../route.ts';
import { jobFor } from '../views.ts';
import { trustClock } from './jobs.ts';

const query = v.strictObject({
  dryRun: v.optional(flag, 'false'),
  prune: v.optional(flag, 'false'),
  group: v.optional(name),
});

/** The jobs of a body, in whichever of the three forms it is. */
function inputsOf(type: string | undefined, text: string, group: string | undefined): unknown[] {
  if (type === 'text/crontab') {
    const { jobs, refused } = parseCrontab(text, {
      kind: 'user',
      zone: 'UTC',
      ...(group === undefined ? {} : { group }),
    });
    if (refused.length > 0)
      throw new Refusal('crontab_invalid', `line ${refused[0]?.line}: ${refused[0]?.reason}`, {
        errors: refused.map(({ line, text: value, reason }) => ({
          path: `line ${line}`,
          message: reason,
          value,
        })),
      });
    return jobs.map(({ job }) => job);
  }
  const read = type === 'application/json' ? parseJson(text) : readYaml(type, text);
  if (
    typeof read !== 'object' ||
    read === null ||
    !('jobs' in read) ||
    !Array.isArray(read.jobs) ||
    Object.keys(read).length > 1
  )
    throw new Refusal('body_invalid', 'body: expected an object with one field, jobs, a list of jobs');
  return read.jobs;
}

function readYaml(type: string | undefined, text: string): unknown {
  if (type === undefined || !/^(application|text)\/(x-)?yaml$/.test(type))
    throw new Refusal(
      'media_type_unsupported',
      `Content-Type: ${type ?? 'none'} can't be read here; expected application/json, application/yaml or text/crontab`,
    );
  try {
    return parseYaml(text, { maxAliasCount: 100 });
  } catch (error) {
    if (error instanceof YAMLParseError || error instanceof ReferenceError)
      throw new Refusal('yaml_invalid', `body: ${error.message}`);
    throw error;
  }
}

/** All of them checked, all mistakes in one refusal. */
function checkAll(inputs: readonly unknown[], group: string | undefined): Job[] {
  const errors: Mistake[] = [];
  const jobs = inputs.flatMap((input, at) => {
    try {
      const whole =
        typeof input === 'object' && input !== null && group !== undefined ? { group, ...input } : input;
      return checkJob(whole, `jobs.${at}.`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      errors.push(...error.errors);
      return [];
    }
  });
  if (errors.length > 0)
    throw new Refusal(
      'job_invalid',
      `${errors[0]?.message}${errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''}`,
      { errors },
    );
  return jobs;
}

/** What differs, by field. */
function diffOf(before: Job | null, after: Job | null): { path: string; from: unknown; to: unknown }[] {
  const fields = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]) as Set<keyof Job>;
  return [...fields].flatMap((path) => {
    const [from, to] = [before?.[path] ?? null, after?.[path] ?? null];
    return JSON.stringify(from) === JSON.stringify(to) ? [] : [{ path, from, to }];
  });
}

export const applyRoute = route({
  ...{
    method: 'POST',
    path: '/apply',
    role: 'editor',
    summary: 'Make the jobs those given',
    query,
    rawBody: true,
  },
  async handle(asked: Asked<v.InferOutput<typeof query>, undefined>) {
    const { c, deps, caller } = asked;
    const { dryRun, prune, group } = asked.query;
    if (prune && group === undefined)
      throw new Refusal('query_invalid', 'prune: needs group, whose other jobs are to go');
    const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase();
    const jobs = checkAll(inputsOf(type, await c.req.text(), group), group);
    const foreign = [...jobs.map((job) => job.group), ...(group === undefined ? [] : [group])].find(
      (one) => !mayTouch(caller, one),
    );
    if (foreign !== undefined)
      throw new Refusal('forbidden', `group: this token is not for group ${foreign}`);
    if (!dryRun) trustClock(deps);
    const applied = await applyJobs(storeOf(deps), jobs, {
      by: caller.name,
      dryRun,
      prune: prune ? (group ?? null) : null,
    });
    if (!dryRun)
      for (const { id, action, before, after } of applied)
        if (action !== 'unchanged')
          await audit(asked, `job.${action}`, { job: id, target: id, before, after });
    const changes = applied.map(({ id, action, before, after }) => {
      const [jobGroup = '', jobName = ''] = id.split('/');
      const shown = (job: Job | null) => (job === null ? null : jobFor(caller, job));
      return {
        group: jobGroup,
        name: jobName,
        action,
        diff: action === 'update' ? diffOf(shown(before), shown(after)) : [],
      };
    });
    return c.json({ changes });
  },
});
