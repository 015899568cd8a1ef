import { execFile } from 'node:child_process';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { Refusal } from '#core/model/refusal.ts';
import type { Clock } from '#core/ports/clock.ts';
import { isCode } from './faults.ts';

const execFileAsync = promisify(execFile);
const knownMs = 30_000;
const unknownMs = 2_000;

export interface Account {
  name: string;
  gid: string;
  home: string;
  shell: string;
}

/** Whom the agent itself runs as; a container's user may have no name. */
export interface Self {
  uid: number;
  name: string;
  home: string;
}

export function self(): Self {
  try {
    const { uid, username, homedir } = userInfo();
    return { uid, name: username, home: homedir };
  } catch {
    // No entry for this uid, which is all that can fail here.
    const uid = process.getuid?.() ?? -1;
    return { uid, name: String(uid), home: '/' };
  }
}

/** Users as the host's name service knows them, so also from LDAP and the like; remembered for half a minute, since a burst asks a lot. */
export function createAccounts(clock: Pick<Clock, 'boot'>) {
  const known = new Map<string, { until: number; account: Promise<Account> }>();
  return {
    /** Refusal `user_unknown`. */
    async of(user: string): Promise<Account> {
      const now = clock.boot();
      const there = known.get(user);
      if (there !== undefined && there.until > now) return there.account;
      const entry = { until: now + knownMs, account: ask(user) };
      known.set(user, entry);
      entry.account.catch(() => {
        entry.until = now + unknownMs;
      });
      return entry.account;
    },
  };
}
export type Accounts = ReturnType<typeof createAccounts>;

async function ask(user: string): Promise<Account> {
  try {
    const { stdout } = await execFileAsync('getent', ['passwd', '--', user]);
    const [name = user, , , gid = '', , home = '/', shell = ''] = stdout.trim().split(':');
    return { name, gid, home, shell: shell === '' ? '/bin/sh' : shell };
  } catch (error) {
    if (isCode(error, '2')) throw new Refusal('user_unknown', `user: ${user}: is not known on this host`);
    if (isCode(error, 'ENOENT'))
      throw new Refusal('user_denied', `user: ${user}: getent is not on this host, so it can't be looked up`);
    throw error;
  }
}
