import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { unreadable } from './unreadable.ts';

/** A table to read: what its place says of it. */
export interface CrontabFile {
  /** As it was named. */
  path: string;
  kind: 'user' | 'system';
  /** Whose it is, for a table in cron's spool. */
  owner: string | undefined;
  /** Its text; null: stdin's. */
  read: string | null;
}

const systemPlaces = /^\/etc\/(?:crontab$|cron\.d(?:\/|$))/;
/** Debian's, SUSE's and everybody else's folder of users' tables. */
const spool = /^\/var\/spool\/cron\/(?:crontabs\/|tabs\/)?([^/]+)$/;

/** The tables that a path names: one file, those in a folder, or `-` for stdin. What cron itself would not read is told and left out. */
export function crontabFiles(path: string, tell: (text: string) => void): CrontabFile[] {
  if (path === '-') return [{ path, kind: 'user', owner: undefined, read: null }];
  try {
    if (!statSync(path).isDirectory()) return tableAt(path, tell);
    return readdirSync(path)
      .sort()
      .map((name) => join(path, name))
      .filter((one) => statSync(one).isFile())
      .flatMap((one) => tableAt(one, tell));
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    const advice =
      error.code === 'EACCES'
        ? '; read it as root (sudo), or pipe it in: crontab -l | cronfleet import -'
        : '';
    throw unreadable(path, error, advice);
  }
}

function tableAt(path: string, tell: (text: string) => void): CrontabFile[] {
  const whole = resolve(path);
  const name = basename(whole);
  const kind = systemPlaces.test(whole) ? 'system' : 'user';
  if (kind === 'system' && whole !== '/etc/crontab' && ignored(name)) {
    tell(`${path}: left out, since cron itself does not read a file of this name`);
    return [];
  }
  return [{ path, kind, owner: spool.exec(whole)?.[1], read: readFileSync(path, 'utf8') }];
}

/** Names in /etc/cron.d that cron(8) passes over: in Debian whatever is not of these characters, elsewhere leftovers of editors and packages. */
function ignored(name: string): boolean {
  if (existsSync('/etc/debian_version')) return !/^[A-Za-z0-9_-]+$/.test(name);
  return /^[.#]|~$|\.(?:rpmsave|rpmorig|rpmnew|dpkg-\w+)$/.test(name);
}
