import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface Said {
  code: number;
  out: string;
  err: string;
}

/** A systemd of a test's own, as PID 1 of its own root; see own-root.sh. */
export interface OwnSystemd {
  /** Runs a command in there. Its `/shared` is the folder that was given. */
  run(command: readonly string[], env?: Record<string, string>): Promise<Said>;
  /** The same, which throws where it does not end well; gives what it printed. */
  must(command: readonly string[], env?: Record<string, string>): Promise<string>;
  /** A property of a unit. */
  show(unit: string, property: string): Promise<string>;
  /** Ends it with all that runs in there. */
  stop(): Promise<void>;
}

const namespaces = ['-p', '-m', '-u', '-i', '-C'];
const ownRoot = fileURLToPath(new URL('own-root.sh', import.meta.url));
const node = dirname(dirname(process.execPath));

/** Why no systemd of our own can be had here; undefined: it can. */
export function missingSystemd(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, for namespaces';
  if (!existsSync('/usr/lib/systemd/systemd'))
    return 'there is no /usr/lib/systemd/systemd (package systemd)';
  if (cgroupMount() === null) return 'there is no cgroup v2';
  return undefined;
}

/** Starts it; `shared` is the only folder of the host that can be written from in there. */
export async function startSystemd(shared: string): Promise<OwnSystemd> {
  const root = mkdtempSync(join(tmpdir(), 'systemd-root-'));
  // Not by our pid, which may be that of one who was killed and has left it.
  const group = mkdtempSync(join(cgroupMount() ?? '', 'cronfleet-test-'));
  // It is all that users in there see of cgroups, who look below it.
  chmodSync(group, 0o755);
  // It has to be in the group before it gets a cgroup namespace: that group is then the root of all that it sees.
  const enter = `echo $$ >'${group}/cgroup.procs' && exec unshare -f ${namespaces.join(' ')} --propagation private --kill-child sh '${ownRoot}' "$@"`;
  const outer = spawn('sh', ['-c', enter, 'sh', root, shared, node], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [outer.stdout, outer.stderr])
    stream.on('data', (piece) => {
      said += piece;
    });
  const gone = once(outer, 'exit');
  const init = () =>
    Number(readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, 'latin1').trim() || 0);
  const run = (command: readonly string[], env: Record<string, string> = {}) =>
    new Promise<Said>((resolve) => {
      const inside = ['-t', String(init()), ...namespaces, '--', ...command];
      const child = execFile(
        'nsenter',
        inside,
        // The tag by which the runner finds what a test left.
        {
          env: { PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...env },
          cwd: '/',
          maxBuffer: 1e8,
        },
        (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
      );
    });
  const system: OwnSystemd = {
    run,
    async must(command, env) {
      const { code, out, err } = await run(command, env);
      if (code !== 0)
        throw new Error(`${command.join(' ')} ended with ${code}: ${out}${err}${logsIn(shared)}`);
      return out;
    },
    show: async (unit, property) =>
      (await system.must(['systemctl', 'show', '--value', '-p', property, unit])).trim(),
    async stop() {
      if (outer.exitCode === null && outer.signalCode === null) {
        // PID 1 takes all of its namespace with it.
        process.kill(init(), 'SIGKILL');
        await gone;
      }
      await removeGroup(group);
      rmSync(root, { recursive: true });
    },
  };
  const until = performance.now() + 60_000;
  while ((await run(['systemctl', 'is-active', '--quiet', 'test.target'])).code !== 0) {
    if (outer.exitCode !== null || performance.now() > until) {
      await system.stop();
      throw new Error(`systemd did not start: ${said}`);
    }
    await sleep(50);
  }
  return system;
}

/** What units wrote into the shared folder, to be seen beside a failure. */
function logsIn(shared: string): string {
  const logs = readdirSync(shared).filter((name) => name.endsWith('.log'));
  return logs.map((name) => `\n${name}: ${readFileSync(join(shared, name), 'utf8').slice(-2_000)}`).join('');
}

function cgroupMount(): string | null {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1] ?? null;
}

/** Groups go when their last process has: the kernel may take a moment for that. */
async function removeGroup(group: string): Promise<void> {
  for (const one of readdirSync(group, { withFileTypes: true }))
    if (one.isDirectory()) await removeGroup(join(group, one.name));
  for (const until = performance.now() + 10_000; ; await sleep(20))
    try {
      return rmdirSync(group);
    } catch (error) {
      if (performance.now() > until) throw error;
    }
}
