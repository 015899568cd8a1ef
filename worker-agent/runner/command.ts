import { accessSync, constants, statSync } from 'node:fs';
import { Refusal } from '#core/model/refusal.ts';
import type { RunPlan } from '../runner.ts';
import type { Account, Self } from './accounts.ts';

/** How the wrapper is started, and what it runs. */
export interface Command {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
}

/** What a command may see of the agent's own environment: nothing that the agent keeps secret. */
const allowed = /^(?:PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|TZ|USER|LOGNAME|SHELL|TMPDIR)$/;
const setprivPlaces = ['/usr/bin/setpriv', '/bin/setpriv', '/usr/local/bin/setpriv'];

/** Whether the run is somebody else's than the agent's own user. */
export function switches(plan: RunPlan, self: Self): boolean {
  return plan.job.user !== null && plan.job.user !== self.name;
}

/**
 * Works out a run's command line, environment and folder; Refusals say what this host lacks for it. `account` is the
 * one to switch to, null: the agent's own.
 */
export function commandOf(
  plan: RunPlan,
  account: Account | null,
  host: { env: Record<string, string | undefined>; self: Self; mark: string },
): Command {
  const { job } = plan;
  const { self } = host;
  if (account !== null && self.uid !== 0)
    throw new Refusal(
      'user_denied',
      `user: ${account.name}: this agent runs as ${self.name} and may not switch; run the agent as root, or leave user out`,
    );
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(host.env))
    if (value !== undefined && allowed.test(name)) env[name] = value;
  env.PATH ??= '/usr/local/bin:/usr/bin:/bin';
  env.HOME ??= self.home;
  env.LOGNAME ??= self.name;
  env.USER ??= self.name;
  if (account !== null)
    Object.assign(env, {
      HOME: account.home,
      USER: account.name,
      LOGNAME: account.name,
      SHELL: account.shell,
    });
  const home = env.HOME;
  Object.assign(env, job.env, plan.env, named(plan), { CRON_AGENT: host.mark });
  return { argv: [...prefixOf(account), ...ownArgv(plan)], env, cwd: folderOf(plan, home) };
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

function folderOf({ job }: RunPlan, home: string): string {
  if (job.cwd === null) return isFolder(home) ? home : '/';
  if (isFolder(job.cwd)) return job.cwd;
  throw new Refusal('cwd_missing', `cwd: ${job.cwd}: is not a folder on this host that may be entered`);
}

function isFolder(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isDirectory();
  } catch {
    // As above.
    return false;
  }
}
