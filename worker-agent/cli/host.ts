import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Flavour } from '#core/crontab/input.ts';
import { zoneNamed } from '#core/schedule/zone.ts';

/**
 * The zone in which this machine's cron reads its tables: that of /etc/localtime. A TZ of this shell's is none of cron's business.
 * Null where no name can be found.
 */
export function machineZone(): string | null {
  const names = [
    () =>
      realpathSync('/etc/localtime')
        .split('/zoneinfo/')[1]
        ?.replace(/^(posix|right)\//, ''),
    () => readFileSync('/etc/timezone', 'utf8').trim(),
    // Neither: then the machine's zone is UTC (localtime(5)), unless it is no Linux.
    () => (process.platform === 'linux' ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone),
  ];
  for (const name of names)
    try {
      const found = name();
      if (found !== undefined && zoneNamed(found) !== null) return found;
    } catch {
      // Not there on this machine: the next may be.
    }
  return null;
}

/** Home folders by the host's name service; null: no such user here. */
export function homeOf(user: string): string | null {
  const known = homes.get(user);
  if (known !== undefined) return known;
  const home = lookUp(user);
  homes.set(user, home);
  return home;
}
const homes = new Map<string, string | null>();

function lookUp(user: string): string | null {
  const self = whoAmI();
  if (self?.name === user) return self.home;
  try {
    const found = execFileSync('getent', ['passwd', '--', user], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return found.split(':')[5] || null;
  } catch {
    // No such user, or no getent: the job says nothing of HOME then, and its start says what is wrong.
    return null;
  }
}

/** Whether a shell of cron's finds a program of this name. */
export function isProgram(name: string): boolean {
  return ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((folder) =>
    existsSync(join(folder, name)),
  );
}

/** Who runs this; null for a uid without a name. */
export function whoAmI(): { name: string; home: string; uid: number } | null {
  try {
    const { username, homedir, uid } = userInfo();
    return { name: username, home: homedir, uid };
  } catch {
    // A container's uid that /etc/passwd does not know.
    return null;
  }
}

/** Which cron reads tables here: Debian and what is made from it have Vixie's, the others cronie. */
export function flavourHere(): Flavour {
  return existsSync('/etc/debian_version') ? 'vixie' : 'cronie';
}
