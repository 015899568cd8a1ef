import { readFileSync } from 'node:fs';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { Refusal } from '#core/model/refusal.ts';
import type { Api } from '../api-client.ts';
import { type Command, type Context, jsonFlag, Usage } from '../command.ts';
import { plain, shorten, table } from '../terminal.ts';
import { unreadable } from '../unreadable.ts';

export interface Change {
  group: string;
  name: string;
  action: 'create' | 'update' | 'delete' | 'unchanged';
  diff: { path: string; from: unknown; to: unknown }[];
}

export function diffText(diff: Change['diff']): string {
  const value = (one: unknown) => plain(shorten(JSON.stringify(one), 40));
  return diff.map(({ path, from, to }) => `${path}: ${value(from)} -> ${value(to)}`).join('; ');
}

/** Half of what the server takes in one body. */
const mostBytes = 524_288;

/**
 * Applies jobs, in as many requests as their size needs; a repeat finishes what a fault cut off. `gone`: those that go with it, `group/name`;
 * `seen`: by the same names the revision, null where there was none, at which each was seen that may change. Of several requests none asks
 * for that: what the first wrote would stand when the next was refused.
 */
export async function applyAll(
  api: Api,
  jobs: readonly unknown[],
  query: Record<string, string | undefined>,
  gone: readonly string[] = [],
  seen: Readonly<Record<string, string | null>> = {},
): Promise<Change[]> {
  const changes: Change[] = [];
  for (let at = 0; at < jobs.length || at === 0; ) {
    const part: unknown[] = [];
    for (let bytes = 0; at < jobs.length; at += 1) {
      bytes += Buffer.byteLength(JSON.stringify(jobs[at]));
      if (part.length > 0 && bytes > mostBytes) break;
      part.push(jobs[at]);
    }
    if ((query.prune === 'true' || gone.length > 0) && part.length < jobs.length)
      throw new Refusal(
        'body_too_large',
        '--prune: these jobs are too many for one request; apply them without it',
      );
    const body = {
      jobs: part,
      ...(gone.length === 0 ? {} : { delete: gone }),
      ...(part.length === jobs.length ? { seen } : {}),
    };
    const answer = (await api.send('POST', '/apply', body, query)) as { changes: Change[] };
    changes.push(...answer.changes);
    if (jobs.length === 0) break;
  }
  return changes;
}

export const apply: Command = {
  ...{ name: 'apply', part: 'Crontabs and files', words: 'FILE...', count: [1, Number.POSITIVE_INFINITY] },
  summary: 'Make the jobs those of YAML or JSON files (- for stdin)',
  example: 'cronfleet apply jobs.yaml --dry-run',
  flags: {
    group: { value: 'G', help: 'the group of jobs that name none' },
    prune: { help: "delete the group's other jobs; needs --group" },
    'dry-run': { help: 'only show what would be done' },
    json: jsonFlag.json,
  },
  async run(context) {
    const { args, text, has, terminal } = context;
    if (has('prune') && text('group') === undefined)
      throw new Usage('--prune needs --group, whose other jobs are to go');
    const jobs: unknown[] = [];
    for (const file of args) jobs.push(...(await jobsIn(context, file)));
    const query = { dryRun: String(has('dry-run')), prune: String(has('prune')), group: text('group') };
    const changes = await applyAll(context.api(), jobs, query);
    if (has('json')) terminal.line(JSON.stringify({ changes }, null, 2));
    else {
      const rows = changes.map(({ group, name, action, diff }) => [
        action,
        `${group}/${name}`,
        diffText(diff),
      ]);
      if (rows.length > 0) terminal.line(table(['', 'JOB', 'WHAT'], rows));
      const made = changes.filter(({ action }) => action !== 'unchanged').length;
      terminal.line(
        `${made} of ${changes.length} changed${has('dry-run') ? ' (--dry-run: nothing was done)' : ''}`,
      );
    }
    return 0;
  },
};

/** The jobs of a file: YAML, of which JSON is a part, with a list under `jobs`. */
async function jobsIn({ terminal }: Context, file: string): Promise<unknown[]> {
  let read: unknown;
  try {
    read = parseYaml(file === '-' ? await terminal.input() : readFileSync(file, 'utf8'), {
      maxAliasCount: 100,
    });
  } catch (error) {
    if (error instanceof YAMLParseError || error instanceof ReferenceError)
      throw new Refusal('yaml_invalid', `${file}: ${error.message}`);
    if (error instanceof Error && 'code' in error) throw unreadable(file, error);
    throw error;
  }
  if (
    typeof read !== 'object' ||
    read === null ||
    !('jobs' in read) ||
    !Array.isArray(read.jobs) ||
    Object.keys(read).length > 1
  )
    throw new Refusal(
      'body_invalid',
      `${file}: expected jobs: and a list below it, as cronfleet export --yaml writes it`,
    );
  return read.jobs;
}
