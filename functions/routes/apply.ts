import * as v from 'valibot';
import { parseDocument, YAMLError } from 'yaml';
import { applyJobs } from '#core/cluster/apply.ts';
import { checkJob, mistakesRefusal } from '#core/cluster/check-job.ts';
import { parseCrontab, type Refused } from '#core/crontab/parse.ts';
import { jobId, parseJobId } from '#core/model/ids.ts';
import { Job } from '#core/model/job.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';
import { Changes } from '../answers.ts';
import { auditAll } from '../audit.ts';
import { checkDepth, expectType, parseBy, parseJson, textOf } from '../body.ts';
import { checkGroup, storeOf } from '../deps.ts';
import { flag, jobText, name } from '../fields.ts';
import { checkNotified } from '../notified.ts';
import { route } from '../route.ts';
import { jobFor } from '../views.ts';

const query = v.strictObject({
  dryRun: v.optional(flag, 'false'),
  prune: v.optional(flag, 'false'),
  group: v.optional(name),
});
const yamlTypes = ['application/yaml', 'application/x-yaml', 'text/yaml', 'text/x-yaml'];
const types = ['application/json', ...yamlTypes, 'text/crontab'];
/** Jobs that go, in one transaction with what comes in their place. */
const gone = v.optional(v.array(jobText), () => []);
/** By GROUP/NAME the revision at which a job was seen, null: not there. One that would change and is not so any more refuses all. */
const seen = v.optional(v.record(jobText, v.nullable(v.string())), () => ({}));
const Jobs = v.strictObject({ jobs: v.array(v.unknown()), delete: gone, seen });

interface Inputs {
  inputs: readonly unknown[];
  gone: readonly string[];
  seen: Readonly<Record<string, string | null>>;
  refused: Omit<Refused, 'partly'>[];
}

/** The jobs of a body, in whichever of the three forms it is, and the lines of a crontab that can't be jobs. */
function inputsOf(
  type: string,
  text: string,
  { group, zone = 'UTC' }: { group: string | undefined; zone: string | undefined },
): Inputs {
  if (type === 'text/crontab') {
    const { jobs, refused } = parseCrontab(text, {
      kind: 'user',
      zone,
      ...(group === undefined ? {} : { group }),
    });
    return {
      inputs: jobs.map(({ job }) => job),
      gone: [],
      seen: {},
      refused: refused.map(({ partly: _, ...one }) => one),
    };
  }
  const read = type === 'application/json' ? parseJson(text) : readYaml(text);
  const { jobs, delete: gone, seen } = parseBy(Jobs, read, 'body_invalid', 'body');
  return { inputs: jobs, gone, seen, refused: [] };
}

function readYaml(text: string): unknown {
  try {
    const document = parseDocument(text);
    // What it only warns of (a tag that nobody knows) would be read as something else than was written.
    const [wrong] = [...document.errors, ...document.warnings];
    if (wrong !== undefined) throw wrong;
    const read: unknown = document.toJS({ maxAliasCount: 100 });
    checkDepth(read);
    return read;
  } catch (error) {
    // Mistakes of syntax, too many or recursive aliases, and nesting that takes the parser's stack.
    if (error instanceof YAMLError || error instanceof ReferenceError || error instanceof RangeError)
      // Below its first line it quotes what stands there, perhaps a secret.
      throw new Refusal('yaml_invalid', `body: is not YAML: ${error.message.replace(/:?\n.*$/s, '')}`);
    throw error;
  }
}

/** All of them checked, all mistakes in one refusal. */
function checkAll(inputs: readonly unknown[], group: string | undefined): Job[] {
  const errors: Mistake[] = [];
  const jobs = inputs.flatMap((input, at) => {
    try {
      const whole =
        typeof input === 'object' && input !== null && !Array.isArray(input) && group !== undefined
          ? { group, ...input }
          : input;
      return checkJob(whole, `jobs.${at}.`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      errors.push(...error.errors);
      return [];
    }
  });
  if (errors.length > 0) throw mistakesRefusal('job_invalid', errors);
  return jobs;
}

/** What differs, by field. */
function diffOf(before: Job, after: Job): { path: string; from: unknown; to: unknown }[] {
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof Job)[];
  return fields.flatMap((path) => {
    const [from, to] = [before[path] ?? null, after[path] ?? null];
    return JSON.stringify(from) === JSON.stringify(to) ? [] : [{ path, from, to }];
  });
}

const JobList = v.strictObject({ jobs: v.array(Job), delete: gone, seen });

export const applyRoute = route({
  ...{ method: 'POST', path: '/apply', role: 'editor', summary: 'Make the jobs those given' },
  raw: Object.fromEntries(types.map((type) => [type, type === 'text/crontab' ? v.string() : JobList])),
  ...{ query, answer: Changes, refuses: [409, 412] },
  async handle(asked) {
    const { c, deps, caller } = asked;
    const { dryRun, prune, group } = asked.query;
    if (prune && group === undefined)
      throw new Refusal('query_invalid', 'prune: needs group, whose other jobs are to go');
    const type = expectType(c, types);
    const { inputs, gone, seen, refused } = inputsOf(type, await textOf(c), { group, zone: deps.zone });
    const jobs = checkAll(inputs, group);
    const going = gone.map((text) => parseJobId(text, group));
    const idOf = (one: { group: string; name: string }) => jobId(one.group, one.name);
    const named = [...jobs, ...going].map((one) => one.group);
    for (const one of new Set([...named, ...(group === undefined ? [] : [group])])) checkGroup(caller, one);
    await checkNotified(deps, jobs, (at) => `jobs.${at}.`);
    const applied = await applyJobs(storeOf(deps), jobs, {
      by: caller.name,
      dryRun,
      prune: prune ? (group ?? null) : null,
      gone: going.map(idOf),
      seen: new Map(Object.entries(seen).map(([text, at]) => [idOf(parseJobId(text, group)), at])),
    });
    await auditAll(
      asked,
      applied
        .filter(({ action }) => !dryRun && action !== 'unchanged')
        .map(({ id, action, before, after }) => ({
          ...{ what: `job.${action}`, job: id, target: id, before, after },
        })),
    );
    const changes = applied.map(({ id, action, before, after }) => {
      const [jobGroup = '', jobName = ''] = id.split('/');
      const diff = before && after ? diffOf(jobFor(caller, before), jobFor(caller, after)) : [];
      return { group: jobGroup, name: jobName, action, diff };
    });
    return c.json({ changes, refused });
  },
});
