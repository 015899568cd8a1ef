import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { parseCrontab, type Refused } from '#core/crontab/parse.ts';
import type { JobInput } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { type Context, Usage } from './commands.ts';

/** Tables with a user column by where they live. */
const systemPlaces = /^\/etc\/(crontab|cron\.d\/)/;

function readTable(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Refusal(
      'file_unreadable',
      `${file}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Home folders by the host's name service. */
function homeOf(user: string): string | null {
  try {
    return execFileSync('getent', ['passwd', '--', user], { encoding: 'utf8' }).split(':')[5] ?? null;
  } catch {
    // No such user here: the job says nothing of HOME, and its start says what is wrong.
    return null;
  }
}

/** Takes crontabs over: jobs that mean what their lines meant to cron, and a list of what could not be taken. */
export async function importCrontabs(context: Context): Promise<number> {
  const { args, flags, out, err } = context;
  if (args.length === 0)
    throw new Usage('which file? A crontab, or - for standard input: crontab -l | cronfleet import -');
  const self = userInfo().username;
  const group = typeof flags.group === 'string' ? flags.group : 'crontab';
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const jobs: JobInput[] = [];
  const refused: (Refused & { file: string })[] = [];
  for (const file of args) {
    const kind = flags.system === true || systemPlaces.test(file) ? 'system' : 'user';
    const table = parseCrontab(readTable(file), { kind, zone, group, owner: self, homeOf });
    jobs.push(...table.jobs.map(({ job }) => job));
    refused.push(...table.refused.map((one) => ({ ...one, file })));
  }
  const seen = new Set<string>();
  const unique = jobs.filter(({ name }) => !seen.has(name) && seen.add(name));
  const dryRun = flags['dry-run'] === true;
  const { changes } = (await context.api().send('POST', `/apply?dryRun=${dryRun}`, { jobs: unique })) as {
    changes: { group: string; name: string; action: string }[];
  };
  if (flags.json === true) out(JSON.stringify({ changes, refused }, null, 2));
  else {
    for (const { group: of, name, action } of changes) out(`${action.padEnd(9)} ${of}/${name}`);
    const made = changes.filter(({ action }) => action !== 'unchanged').length;
    out(
      `${made} taken over${dryRun ? ' (not really: --dry-run)' : ''}, ${changes.length - made} unchanged, ${refused.length} lines left`,
    );
    for (const { file, line, text, reason } of refused)
      err(`${file}:${line}: not taken over: ${reason}\n    ${text}`);
    if (made > 0 && !dryRun)
      err('cron runs these lines too until you take them out of its tables (crontab -e).');
  }
  return 0;
}
