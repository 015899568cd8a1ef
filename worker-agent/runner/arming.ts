import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { Refusal } from '#core/model/refusal.ts';
import type { RunPlan } from '../runner.ts';
import type { Cgroups } from './cgroup.ts';
import type { Command } from './command.ts';
import { isCode } from './faults.ts';
import type { GatePipe } from './gate-pipe.ts';
import type { RunDir } from './run-dir.ts';
import type { SpareDirs } from './spare-dirs.ts';
import { wrapperText } from './wrapper.ts';

/**
 * Makes the run's directory and starts its wrapper, which blocks on the pipe. Gives also the output, open for reading. Leaves
 * nothing behind when it throws.
 */
export async function startWrapper(
  plan: RunPlan,
  command: Command,
  at: { dir: RunDir; pipe: GatePipe; cgroups: Cgroups; spares: SpareDirs; boot: string },
): Promise<{ child: ChildProcess; pid: number; output: number }> {
  const { dir, pipe, cgroups } = at;
  let output = -1;
  let stdin: number | null = null;
  try {
    dir.create(plan, at.boot, at.spares);
    // One file for both ends: what is appended by the command is read here by position.
    output = openSync(dir.file('output'), constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600);
    if (plan.job.stdin !== null) stdin = openSync(dir.file('stdin'), 'r');
    const args = [
      '-c',
      wrapperText,
      'cronfleet',
      dir.path,
      pipe.goFile,
      cgroups.create(plan.run),
      ...command.argv,
    ];
    const child = spawn('/bin/sh', args, {
      cwd: command.cwd,
      env: command.env,
      detached: true,
      stdio: [stdin ?? 'ignore', output, 'ignore', pipe.readEnd],
    });
    const { pid } = child;
    if (pid === undefined) {
      // Most failures are told by this event only.
      const [error] = await once(child, 'error').catch((reason: unknown) => [reason]);
      throw error;
    }
    return { child, pid, output };
  } catch (error) {
    if (output >= 0) closeSync(output);
    dir.remove();
    cgroups.remove(plan.run);
    // The shell itself is on every Linux: it is the folder, gone or closed to us since it was looked at.
    if (isCode(error, 'ENOENT', 'EACCES', 'ENOTDIR') && error instanceof Error && 'syscall' in error)
      if (String(error.syscall).startsWith('spawn'))
        throw new Refusal('cwd_missing', `cwd: ${command.cwd}: can't be entered (${error.message})`);
    throw error;
  } finally {
    if (stdin !== null) closeSync(stdin);
  }
}
