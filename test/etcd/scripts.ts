import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Cluster } from '#infra/etcd/cluster.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { within } from '#test/until.ts';

/** By itself etcdctl waits two seconds for a sign-in, whose hash alone may take that long on a busy machine. */
export const patientEtcdctl = { ETCDCTL_DIAL_TIMEOUT: '60s', ETCDCTL_COMMAND_TIMEOUT: '60s' };

/** Runs a program to its end; throws with what it said where that is not 0. */
export async function run(command: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, ...patientEtcdctl, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const code = await within(`${command.join(' ')} to end`, ended, () => said).finally(() =>
    child.kill('SIGKILL'),
  );
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}: ${said}`);
  return said;
}

/** A script of infra/etcd, as an administrator runs it against this cluster. */
export function script(
  { endpoints, programs }: Cluster,
  [name = '', ...args]: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  return run(['sh', join(projectFolder, 'infra/etcd', name), ...args], {
    ETCDCTL: programs.etcdctl,
    ETCDUTL: programs.etcdutl ?? 'etcdutl-is-not-there',
    ETCDCTL_ENDPOINTS: endpoints,
    ...env,
  });
}
