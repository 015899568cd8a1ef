import { constants } from 'node:os';
import type { JobRecord } from '#core/model/job.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import type { History } from '#core/ports/history.ts';

/** A job as the course's clients know it: given back as it was saved, or with its first expression. */
export function courseJob({ job, cronExpr }: JobRecord): { name: string; command: string; cronExpr: string } {
  const [first = ''] = Array.isArray(job.schedule) ? job.schedule : [job.schedule ?? ''];
  return { name: job.name, command: job.command ?? job.argv?.join(' ') ?? '', cronExpr: cronExpr ?? first };
}

/** Of all outputs in one answer, and of one; beyond, a run's tail stands for it. */
const outputsBytes = 8 * 1_048_576;
const outputBytes = 262_144;
/** Pages that are looked through at most: instants that did not run are records, too. */
const mostPages = 200;

/** Runs of a job that started and have ended, newest first, as the course's log has them. */
export async function courseLogs(
  history: History,
  { group, name, skip, limit }: { group: string; name: string; skip: number; limit: number },
): Promise<Record<string, unknown>[]> {
  const runs: Run[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < mostPages && runs.length < skip + limit; page += 1) {
    const query = { group, name, limit: 500, ...(cursor === null ? {} : { cursor }) };
    const { items, next } = await history.runs(query);
    runs.push(...items.filter(({ state, startedAt }) => startedAt !== null && isTerminal(state)));
    if (next === null) break;
    cursor = next;
  }
  const logs: Record<string, unknown>[] = [];
  let left = outputsBytes;
  for (const run of runs.slice(skip, skip + limit)) {
    const output = left > 0 ? await outputOf(history, run) : run.tail;
    left -= output.length;
    logs.push(courseLog(run, output));
  }
  return logs;
}

async function outputOf(history: History, run: Run): Promise<string> {
  if (run.bytes > outputBytes) return run.tail;
  const { data } = await history.log(run.id, 0, outputBytes);
  return data.length === 0 ? run.tail : new TextDecoder('utf-8', { ignoreBOM: true }).decode(data);
}

function courseLog(run: Run, output: string): Record<string, unknown> {
  return {
    ...{ jobName: run.name, command: run.command ?? '', err: errOf(run), output },
    ...{ planTime: run.plannedAt ?? 0, scheduleTime: run.claimedAt ?? 0 },
    ...{ startTime: run.startedAt ?? 0, endTime: run.endedAt ?? 0 },
  };
}

/** Empty, or an exit status; a signal's is that of a shell, and -1 stands where there was none. */
function errOf({ state, exitCode, signal }: Run): string {
  if (state === 'succeeded') return '';
  const number = signal === null ? undefined : constants.signals[`SIG${signal}` as NodeJS.Signals];
  return `exit status ${exitCode ?? (number === undefined ? -1 : 128 + number)}`;
}
