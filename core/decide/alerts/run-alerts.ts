import { type Alert, type JobNotice, newAlert } from '#core/model/alert.ts';
import { asTerminal } from '#core/model/as-terminal.ts';
import { durationMs } from '#core/model/duration.ts';
import { jobId, parseRunId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { isTerminal, type Run } from '#core/model/run.ts';

/** A loss that is made good by a next attempt is nobody's concern until it has come so often. */
const lossesToTell = 3;
/** Of a run's output, this much goes along. */
const tailLines = 12;
const tailChars = 2_000;

/**
 * What a job's rules have to say about a record of it: nothing while another attempt follows, nothing of what went well. The same
 * record gives the same alerts, whoever looks at it and however often.
 */
export function alertsOfRun(job: Job, run: Run): Alert[] {
  if (job.notify.length === 0 || !isTerminal(run.state)) return [];
  const bad = badEnd(job, run);
  return [...(bad === null ? [] : [bad]), ...(isLate(job, run, run.endedAt ?? 0) ? (['late'] as const) : [])]
    .map((kind) => alertOf(job, run, kind))
    .filter((alert) => alert !== null);
}

/** A run that still lives, once it is late; of one that is only known by its key its claim counts as its start. */
export function lateAlert(job: Job, run: Run, now: number): Alert | null {
  const living = { ...run, startedAt: run.startedAt ?? run.claimedAt };
  return isLate(job, living, now) ? alertOf(job, run, 'late', now) : null;
}

/** Whether a run was not through by `finishBy` after its instant. What never started is not late but missed, or skipped. */
export function isLate({ finishBy }: Pick<Job, 'finishBy'>, run: Run, endedAt: number): boolean {
  const { instant, startedAt } = run;
  return (
    finishBy !== null && instant !== null && startedAt !== null && endedAt > instant + durationMs(finishBy)
  );
}

function badEnd(job: Job, { state, attempt }: Run): JobNotice | null {
  switch (state) {
    case 'failed':
    case 'timed_out':
      return attempt > job.retry.attempts ? state : null;
    case 'lost':
      return job.guarantee === 'at-most-once' || attempt >= lossesToTell ? 'lost' : null;
    case 'missed':
      return 'missed';
    default:
      return null;
  }
}

function alertOf(job: Job, run: Run, kind: JobNotice, at = run.endedAt ?? run.instant ?? 0): Alert | null {
  const [to, recoverTo] = [channelsFor(job, kind), channelsFor(job, 'recovered')];
  if (to.length === 0 && recoverTo.length === 0) return null;
  const id = jobId(job.group, job.name);
  const { group, name, cause, attempt, worker } = parseRunId(run.id);
  const who = worker === null ? '' : `~${worker}`;
  return newAlert({
    // An instant is late once, whichever of its attempts is.
    id: `${kind}~${group}~${name}~${cause}~${kind === 'late' ? 1 : attempt}${who}`,
    ...{ kind, about: `${id}${who}`, job: id, run: run.id, worker: run.worker, to, recoverTo },
    at,
    // By a clock that has stepped it may have ended an hour from now; somebody is to be told at once.
    due: Math.min(at, run.plannedAt ?? at),
    title: titleOf(job, run, kind),
    text: textOf(job, run),
  });
}

function channelsFor({ notify }: Job, kind: JobNotice): string[] {
  return [...new Set(notify.filter(({ on }) => on.includes(kind)).flatMap(({ to }) => to))];
}

function titleOf(job: Job, { reason, count }: Run, kind: JobNotice): string {
  const why = reason === '' ? '' : `: ${reason}`;
  const id = jobId(job.group, job.name);
  const words = { failed: 'failed', timed_out: 'timed out', lost: 'was lost', missed: 'was missed' } as const;
  if (kind === 'late') return `${id} is late: not through within ${job.finishBy}`;
  if (kind === 'recovered') return `${id} is well again`;
  return `${id} ${words[kind]}${count > 1 ? ` ${count} times` : ''}${why}`;
}

function textOf(job: Job, run: Run): string {
  const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  const lines: [string, string | null][] = [
    ['run', run.id],
    ['instant', iso(run.instant)],
    ['worker', run.worker],
    ['started', iso(run.startedAt)],
    ['ended', iso(run.endedAt)],
    ['command', run.command],
    ['owner', job.owner],
    ['runbook', job.runbook],
  ];
  const facts = lines.flatMap(([what, value]) =>
    value === null || value === '' ? [] : [`${what}: ${value}`],
  );
  const tail = asTerminal(run.tail).trimEnd().split('\n').slice(-tailLines).join('\n').slice(-tailChars);
  return [...facts, ...(tail === '' ? [] : ['', tail])].join('\n');
}
