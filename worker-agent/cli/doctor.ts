import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { Unreachable } from './api-client.ts';
import type { Context } from './commands.ts';

interface Finding {
  ok: boolean;
  what: string;
  /** What to do about it. */
  advice: string;
}

/** Looks at server and host; exit code 1 where something wants doing. */
export async function diagnose(context: Context): Promise<number> {
  const findings: Finding[] = [];
  const note = (ok: boolean, what: string, advice = '') => findings.push({ ok, what, advice });
  try {
    const asked = Date.parse(new Date(context.now()).toISOString());
    const health = (await context.api().get('/health')) as {
      status: string;
      version?: string;
      stores?: Record<string, string>;
    };
    note(
      health.status === 'ok',
      `server answers: ${health.status}${health.version ? `, version ${health.version}` : ''}`,
      'see its log',
    );
    const me = (await context.api().get('/me')) as { name: string; role: string };
    note(true, `the token is good: ${me.name}, ${me.role}`);
    const { items } = (await context.api().get('/workers')) as {
      items: { id: string; state: string; lastBeat: string | null }[];
    };
    note(
      items.some(({ state }) => state === 'live'),
      `live workers: ${
        items
          .filter(({ state }) => state === 'live')
          .map(({ id }) => id)
          .join(', ') || 'none'
      }`,
      'start one: cronfleet up',
    );
    for (const { id, lastBeat } of items)
      if (lastBeat !== null && Math.abs(Date.parse(lastBeat) - asked) > 60_000)
        note(false, `${id} was last heard of at ${lastBeat}`, 'look at its log and its clock');
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    note(false, error.message, 'start it: npm start');
  }
  const data = typeof context.flags.data === 'string' ? context.flags.data : '.cronfleet';
  if (existsSync(data)) {
    const { bavail, bsize } = statfsSync(data);
    note(
      bavail * bsize > 1e9,
      `${data} has ${((bavail * bsize) / 1e9).toFixed(1)} GB free`,
      'make room: a full disk stops new runs',
    );
  }
  note(
    process.platform === 'linux',
    `platform ${process.platform}`,
    'agents run on Linux; API, site and command line run here',
  );
  note(existsSync('/bin/sh'), '/bin/sh is there', 'install a POSIX shell');
  const root = userInfo().uid === 0;
  note(
    true,
    root
      ? 'runs as root: jobs may have any user'
      : `runs as ${userInfo().username}: jobs with another user are refused`,
  );
  note(
    hasCgroup(),
    'cgroup v2 can be had: a kill is certain',
    'without it a job that leaves session and environment can escape a kill',
  );
  if (cronRuns())
    note(
      false,
      'cron runs here too',
      'lines that were imported run twice until you take them out of its tables (crontab -e)',
    );
  if (context.flags.json === true) context.out(JSON.stringify(findings, null, 2));
  else
    for (const { ok, what, advice } of findings)
      context.out(`${ok ? 'ok  ' : 'LOOK'} ${what}${ok || advice === '' ? '' : `: ${advice}`}`);
  return findings.every(({ ok }) => ok) ? 0 : 1;
}

function hasCgroup(): boolean {
  try {
    const mount = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .find((line) => line.split(' ')[2] === 'cgroup2');
    accessSync(mount?.split(' ')[1] ?? '', constants.W_OK);
    return true;
  } catch {
    // No /proc, no mount, or not ours to write: the same answer.
    return false;
  }
}

function cronRuns(): boolean {
  return ['/run/crond.pid', '/var/run/crond.pid', '/run/cron.pid'].some((file) => {
    try {
      process.kill(Number(readFileSync(file, 'utf8')), 0);
      return true;
    } catch {
      // No such file, or nobody of that pid.
      return false;
    }
  });
}
