import { execFileSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { Refusal } from '#core/model/refusal.ts';
import type { RunPlan } from '../runner.ts';

/** How the wrapper is started, and what it runs. */
export interface Command {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
}

interface Account {
  name: string;
  gid: string;
  home: string;
  shell: string;
}

/** What a command may see of the agent's own environment: nothing that the agent keeps secret. */
const allowed = /^(?:PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|TZ|USER|LOGNAME|SHELL|TMPDIR)$/;
const setprivPlaces = ['/usr/bin/setpriv', '/bin/setpriv', '/usr/local/bin/setpriv'];

/** Works out a run's command line, environment and folder; Refusals say what this host lacks for it. */
export function commandOf(plan: RunPlan, host: { env: Record<string, string | undefined> }): Command {
  const { job } = plan;
  const self = userInfo();
  const switches = job.user !== null && job.user !== self.username;
  const account = switches && job.user !== null ? accountOf(job.user) : null;
  if (account !== null && self.uid !== 0)
    throw new Refusal(
      'user_denied',
      `user: ${account.name}: this agent runs as ${self.username} and may not switch; run the agent as root, or leave user out`,
    );
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(host.env))
    if (value !== undefined && allowed.test(name)) env[name] = value;
  env.PATH ??= '/usr/local/bin:/usr/bin:/bin';
  env.HOME ??= self.homedir;
  env.LOGNAME ??= self.username;
  env.USER ??= self.username;
  if (account !== null)
    Object.assign(env, {
      HOME: account.home,
      USER: account.name,
      LOGNAME: account.name,
      SHELL: account.shell,
    });
  Object.assign(env, job.env, plan.env, named(plan));
  return { argv: [...prefixOf(account), ...ownArgv(plan)], env, cwd: folderOf(plan, env.HOME) };
}

function named(plan: RunPlan): Record<string, string> {
  const { job, run, instant, attempt, shard } = plan;
  return {
    CRON_JOB: `${job.group}/${job.name}`,
    CRON_RUN_ID: run,
    CRON_INSTANT: instant === null ? '' : new Date(instant).toISOString(),
    CRON_ATTEMPT: String(attempt),
    ...(shard === null ? {} : { CRON_SHARD: String(shard.index), CRON_SHARDS: String(shard.count) }),
  };
}

function ownArgv({ job }: RunPlan): string[] {
  if (job.argv !== null) return job.argv;
  if (!isExecutable(job.shell))
    throw new Refusal('shell_missing', `shell: ${job.shell}: is not an executable file on this host`);
  return [job.shell, '-c', job.command ?? ''];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    // Not there, or not for us: which of the two makes no difference to whoever reads it.
    return false;
  }
}

/** spawn's uid and gid would leave out the user's further groups; setpriv sets them all and execs. */
function prefixOf(account: Account | null): string[] {
  if (account === null) return [];
  const setpriv = setprivPlaces.find(isExecutable);
  if (setpriv === undefined)
    throw new Refusal(
      'user_denied',
      `user: ${account.name}: setpriv (util-linux) is not on this host, so its groups can't be set`,
    );
  return [setpriv, `--reuid=${account.name}`, `--regid=${account.gid}`, '--init-groups', '--'];
}

/** As the host's name service knows it, so also from LDAP and the like. */
function accountOf(user: string): Account {
  let line: string;
  try {
    line = execFileSync('getent', ['passwd', '--', user], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    // getent ends with 2 where it knows no such name.
    throw new Refusal('user_unknown', `user: ${user}: is not known on this host`);
  }
  const [name = user, , , gid = '', , home = '/', shell = ''] = line.trim().split(':');
  return { name, gid, home, shell: shell === '' ? '/bin/sh' : shell };
}

function folderOf({ job }: RunPlan, home: string | undefined): string {
  const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (job.cwd !== null) {
    if (isFolder(job.cwd)) return job.cwd;
    throw new Refusal('cwd_missing', `cwd: ${job.cwd}: is not a folder on this host`);
  }
  return home !== undefined && isFolder(home) ? home : '/';
}
