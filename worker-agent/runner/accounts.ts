import { execFile } from 'node:child_process';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { Refusal } from '#core/model/refusal.ts';
import type { Clock } from '#core/ports/clock.ts';
import { isCode, isShort } from './faults.ts';

const execFileAsync = promisify(execFile);
const knownMs = 30_000;
const unknownMs = 2_000;
/** An answer that takes longer comes too late for whoever waits. */
const longestMs = 5_000;

export interface Account {
  name: string;
  gid: string;
  home: string;
  shell: string;
}

/** Of the name service, be it a refusal, and until when (boot time) nobody asks again. */
interface Answer {
  until: number;
  account: Promise<Account>;
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
export function createAccounts(clock: Pick<Clock, 'boot' | 'after'>) {
  const known = new Map<string, Answer>();
  const asking = new Map<string, Promise<Answer>>();

  function asked(user: string): Promise<Answer> {
    const under = asking.get(user) ?? look(user);
    asking.set(user, under);
    return under;
  }

  async function look(user: string): Promise<Answer> {
    const account = ask(user, clock);
    const staysMs = await account.then(
      () => knownMs,
      () => unknownMs,
    );
    const answer = { until: clock.boot() + staysMs, account };
    known.set(user, answer);
    asking.delete(user);
    return answer;
  }

  return {
    /** Settles when there is an answer, be it that there is none; null: the last one still holds. */
    lookUp(user: string): Promise<void> | null {
      const there = known.get(user);
      return there !== undefined && there.until > clock.boot() ? null : asked(user).then(() => {});
    },
    /** By the last answer, however old: who was looked up before is not waited for. Refusal `user_unknown`. */
    async of(user: string): Promise<Account> {
      return (known.get(user) ?? (await asked(user))).account;
    },
  };
}
export type Accounts = ReturnType<typeof createAccounts>;

async function ask(user: string, clock: Pick<Clock, 'after'>): Promise<Account> {
  const late = new AbortController();
  const cancel = clock.after(longestMs, () => late.abort());
  try {
    // Aborted it is not waited for any more, whether or not it can be killed.
    const how = { signal: late.signal, killSignal: 'SIGKILL' } as const;
    const { stdout } = await execFileAsync('getent', ['passwd', '--', user], how);
    const [name = user, , , gid = '', , home = '/', shell = ''] = stdout.trim().split(':');
    return { name, gid, home, shell: shell === '' ? '/bin/sh' : shell };
  } catch (error) {
    if (late.signal.aborted)
      throw new Refusal(
        'user_unknown',
        `user: ${user}: this host's name service (getent) did not answer within ${longestMs / 1_000} s`,
      );
    if (isCode(error, '2')) throw new Refusal('user_unknown', `user: ${user}: is not known on this host`);
    if (isCode(error, 'ENOENT'))
      throw new Refusal('user_denied', `user: ${user}: getent is not on this host, so it can't be looked up`);
    if (isShort(error)) throw error;
    // It fell over, or may not be run: a fault of this host's name service, not of ours.
    const said = error instanceof Error ? error.message.trim() : error;
    throw new Refusal('user_unknown', `user: ${user}: this host's name service (getent) failed: ${said}`);
  } finally {
    cancel();
  }
}
