import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { parseCrontab } from '#core/crontab/parse.ts';
import { Refusal } from '#core/model/refusal.ts';
import { Unreachable } from '../api-client.ts';
import type { Context } from '../command.ts';
import { crontabFiles } from '../crontab-files.ts';
import { flavourHere, homeOf, whoAmI } from '../host.ts';
import type { Jobs } from '../views.ts';
import { bad, type Finding, note, ok } from './finding.ts';

/** Whether cron runs here too, and runs what was taken over from it: then everything happens twice. */
export async function cronToo({ api }: Context): Promise<Finding[]> {
  if (!cronRuns()) return [ok('cron does not run here, so nothing runs twice')];
  const live = commandsOfCron();
  let jobs: Jobs[];
  try {
    jobs = await api().all<Jobs>('/jobs', { enabled: 'true' });
  } catch (error) {
    if (error instanceof Unreachable || error instanceof Refusal) return [note('cron runs here too')];
    throw error;
  }
  const twice = jobs.filter(
    ({ job, paused }) => paused === null && live.has(`${job.schedule}\n${job.command}`),
  );
  if (twice.length === 0)
    return [note('cron runs here too, with nothing in the tables that I may read that is also a job here')];
  const names = twice.map(({ job }) => `${job.group}/${job.name}`);
  return [
    bad(
      `cron runs here too, and so these run twice: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`,
      "take their lines out of cron's tables (crontab -e, /etc/crontab, /etc/cron.d), or pause the jobs",
    ),
  ];
}

/** Whether a cron runs on this host. */
export function cronRuns(): boolean {
  try {
    return readdirSync('/proc').some((name) => /^\d+$/.test(name) && /^(?:cron|crond)$/.test(nameOf(name)));
  } catch {
    // No /proc: no Linux, and no agent here.
    return false;
  }
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    // Ended meanwhile.
    return '';
  }
}

/** Schedule and command of every line that cron reads here and that this user may read. */
function commandsOfCron(): Set<string> {
  const tables = ['/etc/crontab', '/etc/cron.d', '/var/spool/cron/crontabs'].flatMap((path) => {
    try {
      return crontabFiles(path, () => {});
    } catch (error) {
      // Not there, or not for this user: then it is not looked at.
      if (error instanceof Refusal) return [];
      throw error;
    }
  });
  const mine = ownTable();
  if (mine !== null) tables.push({ path: 'crontab -l', kind: 'user', owner: whoAmI()?.name, read: mine });
  const found = new Set<string>();
  for (const { kind, read } of tables)
    for (const { job } of parseCrontab(read ?? '', { kind, zone: 'UTC', homeOf, flavour: flavourHere() })
      .jobs)
      found.add(`${job.schedule}\n${job.command}`);
  return found;
}

function ownTable(): string | null {
  try {
    return execFileSync('crontab', ['-l'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    // No crontab program, or no table of this user.
    return null;
  }
}
