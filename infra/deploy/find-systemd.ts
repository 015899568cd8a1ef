import { join } from 'node:path';
import { librariesIn, unpacked } from './debian.ts';
import { inPath } from './find-program.ts';

/** `systemd-analyze`, which looks at unit files without a running systemd: in PATH, else out of Debian's packages. */
export async function findAnalyzer(): Promise<
  { path: string; env: Record<string, string> } | { missing: string }
> {
  const path = inPath('systemd-analyze');
  if (path !== null) return { path, env: {} };
  const got = await unpacked('systemd', ['systemd', 'libsystemd-shared']);
  if ('missing' in got) return { missing: `no systemd-analyze in PATH; ${got.missing}` };
  return {
    path: join(got.root, 'usr/bin/systemd-analyze'),
    env: { LD_LIBRARY_PATH: librariesIn(got.root) },
  };
}
