import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type { Job, JobInput } from '#core/model/job.ts';
import type { CrontabFile } from './crontab-files.ts';
import { importedJob, settingsBeside } from './imported-job.ts';

/**
 * Where a job's line stands, as a tag of the job: by that a later import of the same table knows which of its jobs have no line there any
 * more. `crontab:HOST:USER` for a user's own table, however it was read, else `crontab:HOST:FILE`; what no tag can hold by its hash.
 */
export type SourceTag = string;

const mark = 'crontab:';
const longestTag = 64;
/** As many as a job can have. */
const mostTags = 64;
/** In place of the last where a job stands in more tables than it can have tags: nobody can tell any more that it stands in none. */
const inMany: SourceTag = `${mark}*`;

const isMark = (tag: string) => tag.startsWith(mark);

/** Null where nobody can tell which table it is: a system table from stdin. */
export function sourceOf(file: CrontabFile, owner: string | undefined, host: string): SourceTag | null {
  if (file.owner !== undefined) return tagOf(host, '', file.owner);
  if (file.read !== null) return tagOf(host, `${dirname(resolve(file.path))}/`, basename(file.path));
  return owner === undefined ? null : tagOf(host, '', owner);
}

/** Whether a tag is of a table that stands, or stood, in one of these folders: of a table that is gone no line is left. */
export function inFolders(paths: readonly string[], host: string): (tag: string) => boolean {
  const folders = paths
    .filter((path) => path !== '-' && statSync(path).isDirectory())
    .flatMap((path) => [`${mark}${host}:${resolve(path)}/`, `${mark}#${hash(`${host}:${resolve(path)}/`)}/`]);
  return (tag) => folders.some((folder) => tag.startsWith(folder) && !tag.slice(folder.length).includes('/'));
}

/**
 * What was read, beside the jobs that are there: `jobs` as their lines have them, with the tag of where each stands now, `gone` the jobs of these tables that have no line
 * there any more, `elsewhere` those that stand in another table, too: they only lose the tag. Tags that are not of these tables stay.
 */
export function reconcile(
  there: readonly Job[],
  read: readonly { job: JobInput; source: SourceTag | null }[],
  isOf: (tag: SourceTag) => boolean,
): { jobs: JobInput[]; gone: Job[]; elsewhere: Job[] } {
  const known = new Map(there.map((job) => [job.name, job]));
  const jobs = read.map(({ job, source }): JobInput => {
    const tags = (known.get(job.name)?.tags ?? []).filter((tag) => tag === source || !isOf(tag));
    return {
      ...importedJob(job, known.get(job.name)),
      tags: source === null || tags.includes(source) ? tags : marked(tags, source),
    };
  });
  const named = new Set(read.map(({ job }) => job.name));
  const left = there.filter(({ name, tags }) => !named.has(name) && tags.some(isOf));
  const others = (tags: readonly string[]) => tags.filter((tag) => !isOf(tag));
  const isElsewhere = ({ tags }: Job) => others(tags).some(isMark);
  return {
    jobs,
    gone: left.filter((job) => !isElsewhere(job)),
    elsewhere: left.filter(isElsewhere).map((job) => ({ ...job, tags: others(job.tags) })),
  };
}

/** A new job, and what people set on the one that it has come in place of. */
export interface Edited {
  job: JobInput;
  was: Job;
  settings: Record<string, unknown>;
}

/** By what a line is known again, the surest first: its command, its schedule and program, that no other of its table is new and none gone. */
const likenesses: readonly ((job: JobInput) => unknown)[] = [
  ({ command, stdin, user }) => [command, stdin ?? null, user ?? null],
  ({ schedule, command, user }) => [schedule, command?.trim().split(/\s+/)[0], user ?? null],
  () => null,
];

/**
 * Of the new jobs those whose line is an edited one for certain, as one table has one job alone that is gone and one that is new of that
 * likeness, and whose former job has settings that it has not.
 */
export function editedLines(
  gone: readonly Job[],
  fresh: readonly { job: JobInput; source: SourceTag | null }[],
): Edited[] {
  const found = new Map<JobInput, Job>();
  for (const likeness of likenesses) {
    const pairs = new Map<string, { was: Job[]; now: JobInput[] }>();
    const former = new Set(found.values());
    const pairAt = (source: SourceTag, job: JobInput) => {
      const key = JSON.stringify([source, likeness(job)]);
      const pair = pairs.get(key) ?? { was: [], now: [] };
      pairs.set(key, pair);
      return pair;
    };
    for (const { job, source } of fresh)
      if (source !== null && !found.has(job)) pairAt(source, job).now.push(job);
    for (const job of gone)
      if (!former.has(job)) for (const tag of job.tags.filter(isMark)) pairAt(tag, job).was.push(job);
    for (const { was, now } of pairs.values())
      if (was.length === 1 && now.length === 1 && was[0] && now[0]) found.set(now[0], was[0]);
  }
  return [...found].flatMap(([job, was]) => {
    const settings = settingsBeside({ ...was, tags: was.tags.filter((tag) => !isMark(tag)) }, job);
    return Object.keys(settings).length === 0 ? [] : [{ job, was, settings }];
  });
}

/** A job that has so many other tags that none of a table is left goes on without: what is not marked is never taken for gone. */
function marked(tags: readonly string[], source: SourceTag): string[] {
  if (tags.length < mostTags) return [...tags, source];
  const last = tags.findLastIndex(isMark);
  return tags.includes(inMany) || last < 0 ? [...tags] : tags.with(last, inMany);
}

function tagOf(host: string, folder: string, name: string): SourceTag {
  const tag = `${mark}${host}:${folder}${name}`;
  return tag.length <= longestTag && !/[^!-~]/.test(tag)
    ? tag
    : `${mark}#${hash(`${host}:${folder}`)}/${hash(name)}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
