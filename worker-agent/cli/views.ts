import type { Job } from '#core/model/job.ts';
import type { RunState } from '#core/model/run.ts';
import type { JobView, RunView } from '#functions/answers.ts';
import { type Colour, plain, type Terminal } from './terminal.ts';

/** What the API answers, as it stands in JSON. */
export type Run = RunView;
export type Jobs = JobView;

const colours: Partial<Record<RunState, Colour>> = {
  succeeded: 'green',
  running: 'cyan',
  claimed: 'cyan',
  waiting: 'cyan',
  failed: 'red',
  timed_out: 'red',
  lost: 'red',
  killed: 'yellow',
  skipped: 'yellow',
  missed: 'yellow',
  cancelled: 'yellow',
};

export function stateText({ paint }: Terminal, state: RunState): string {
  const colour = colours[state];
  return colour === undefined ? state : paint(colour, state);
}

/** Whether a text is a run's id, and no job's name. */
export const isRun = (text: string) => text.includes('~');

/** The run of a job that began last, be it over or not; what never began counts where there is no other. */
export function newestOf({ running, last }: Pick<Jobs, 'running' | 'last'>): Run | null {
  const began = ({ startedAt, claimedAt }: Run) => startedAt ?? claimedAt ?? '';
  return [...running, ...(last === null ? [] : [last])].reduce<Run | null>(
    (newest, one) => (newest === null || began(one) > began(newest) ? one : newest),
    null,
  );
}

/** A time as tables show it. */
export function timeText(iso: string | null | undefined): string {
  return iso?.replace('T', ' ').replace(/\.000Z$/, 'Z') ?? '-';
}

export function tookText(ms: number | null): string {
  if (ms === null) return '-';
  if (ms < 60_000) return `${(ms / 1_000).toFixed(2)}s`;
  const seconds = Math.round(ms / 1_000);
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}h${m}m` : `${m}m${s}s`;
}

export function scheduleText({ schedule }: Pick<Job, 'schedule'>): string {
  return plain(schedule === null ? 'by hand' : [schedule].flat().join(' | '));
}

export function commandText({ command, argv }: Pick<Job, 'command' | 'argv'>): string {
  return plain(command ?? argv?.join(' ') ?? '');
}

/** Whether an answer is short for want of History. A server of before had none to give then, and says nothing of it. */
export function lacksHistory({ away }: { away?: readonly string[] }): boolean {
  return away?.includes('history') ?? false;
}

/** Said on stderr of such an answer; `what`: that which is left out. */
export function noteAway({ note }: Terminal, what: string): void {
  note(`the history does not answer the server at the moment: ${what}`);
}
