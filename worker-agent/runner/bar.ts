import { setImmediate as turn } from 'node:timers/promises';
import type { RunId } from '#core/model/ids.ts';
import { isAlive, isStopped, membersOf, type Processes, type Seen, signal } from './processes.ts';
import type { RunDir } from './run-dir.ts';

/**
 * Ends the wrapper of a run that has not started its command, for good; false: it has started it, and goes on. It stands still while
 * its marker is looked at: killed in the very moment of its start it would take the command's status with it. `seen`: what lives here.
 */
export async function bar(
  dir: Pick<RunDir, 'startedAt'>,
  run: RunId,
  seen: readonly Seen[],
  { isOf }: Pick<Processes, 'isOf'>,
): Promise<boolean> {
  const members = membersOf(seen, run, null).filter(({ pid }) => isOf(run, pid));
  for (const { pid } of members) signal(pid, 'SIGSTOP');
  for (const { pid } of members) while (isAlive(pid) && !isStopped(pid)) await turn();
  const never = dir.startedAt() === null;
  for (const { pid } of members) signal(pid, never ? 'SIGKILL' : 'SIGCONT');
  return never;
}
