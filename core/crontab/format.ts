import type { Job } from '#core/model/job.ts';

/** What of a job a crontab has no word for, where it differs from what cron does anyway. */
function losses(job: Job): string[] {
  const lost: string[] = [];
  if (job.overlap !== 'allow') lost.push(`overlap ${job.overlap}`);
  if (job.catchUp !== 'none') lost.push(`catchUp ${job.catchUp}`);
  if (job.retry.attempts > 0) lost.push(`retry ${job.retry.attempts}`);
  if (job.timeout !== null) lost.push(`timeout ${job.timeout}`);
  if (job.notify.length > 0) lost.push('notify');
  return lost;
}

/** Why a job can't stand in a crontab at all; null: it can. */
function obstacle(job: Job): string | null {
  const schedules = schedulesOf(job);
  if (job.argv !== null) return 'runs a list of arguments without a shell';
  if (schedules.length === 0) return 'runs by hand only';
  if (!job.enabled) return 'is disabled';
  if (job.except.length > 0 || job.startAt !== null || job.endAt !== null)
    return 'leaves times out (except, startAt, endAt)';
  if (job.dst !== 'vixie') return `treats clock changes otherwise (dst ${job.dst})`;
  if (job.mode === 'all') return 'runs on every worker';
  const odd = schedules.find((one) => !isPlain(one));
  if (odd !== undefined) return `its schedule ${JSON.stringify(odd)} has no form in a crontab`;
  if (/[\n\r]/.test(job.command ?? '')) return 'its command has several lines';
  if (job.stdin !== null && !job.stdin.endsWith('\n')) return 'its input does not end with a new line';
  if (job.cwd !== null && job.cwd !== job.env.HOME) return `runs in ${job.cwd}, which is not its HOME`;
  if (Object.values(job.env).some((value) => /[\n\r]/.test(value)))
    return 'a variable of it has several lines';
  return null;
}

function schedulesOf({ schedule }: Job): string[] {
  return schedule === null ? [] : typeof schedule === 'string' ? [schedule] : schedule;
}

/** Five fields, or a short name, in cron's own dialect. */
function isPlain(text: string): boolean {
  if (/^@(hourly|daily|midnight|weekly|monthly|yearly|annually)$/i.test(text)) return true;
  const fields = text.trim().split(/\s+/);
  return (
    fields.length === 5 &&
    fields.every((field) => /^[0-9A-Za-z*/,~-]+$/.test(field) && !/(^|[^A-Za-z])(L|LW|W|H)/.test(field))
  );
}

/** The table's variables that a job needs. CRON_TZ says its zone. */
function settingsOf(job: Job): Record<string, string> {
  return { CRON_TZ: job.timezone, SHELL: job.shell, ...job.env };
}

const comment = (text: string) => `# ${text.replace(/[\n\r]+/g, ' ')}`;

/**
 * A crontab that means the same, as far as a crontab can; what it can't say stands in comments with the reason. `system`: with the
 * user column. Variables can't be unset below a line that set them: a job that must not have one is left to a comment, too.
 */
export function formatCrontab(jobs: readonly Job[], { system }: { system: boolean }): string {
  const lines: string[] = [];
  const set: Record<string, string> = {};
  const sorted = [...jobs].sort((a, b) => Object.keys(a.env).length - Object.keys(b.env).length);
  for (const job of sorted) {
    const id = `${job.group}/${job.name}`;
    const settings = settingsOf(job);
    const extra = Object.keys(set).find((name) => !(name in settings));
    const why =
      obstacle(job) ??
      (extra === undefined
        ? !system && job.user !== null
          ? `runs as ${job.user}`
          : null
        : `must not have the variable ${extra} of the lines above`);
    if (why !== null) {
      lines.push(comment(`${id}: not here: ${why}`));
      continue;
    }
    const lost = losses(job);
    if (lost.length > 0) lines.push(comment(`${id}: without ${lost.join(', ')}, which a crontab can't say`));
    for (const [name, value] of Object.entries(settings)) {
      if (set[name] === value) continue;
      set[name] = value;
      lines.push(`${name}="${value}"`);
    }
    const input =
      job.stdin === null
        ? ''
        : `%${job.stdin.replace(/\n$/, '').replaceAll('%', '\\%').replaceAll('\n', '%')}`;
    const command = (job.command ?? '').replaceAll('%', '\\%') + input;
    const user = system ? `${job.user ?? job.env.LOGNAME ?? 'root'} ` : '';
    for (const schedule of schedulesOf(job)) lines.push(`${schedule} ${user}${command}`);
  }
  return `${lines.join('\n')}\n`;
}
