import { join } from 'node:path';
import { librariesIn, unpacked } from './debian.ts';
import { inPath } from './find-program.ts';

/** `systemd-analyze`, which looks at unit files without a running systemd: in PATH, else out of Debian's packages. */
export async function findAnalyzer(): Promise<
  { path: string; env: Record<string, string> } | { missing: string }
> {
  const path = inPath('systemd-analyze');
  if (path !== null) return { path, env: {} };
  const got = await unpacked('systemd', [
    // With what of its libraries a small image leaves out.
    ...['systemd', 'libsystemd-shared', 'libapparmor1', 'libseccomp2', 'libkmod2', 'libip4tc2'],
  ]);
  if ('missing' in got) return { missing: `no systemd-analyze in PATH; ${got.missing}` };
  return {
    path: join(got.root, 'usr/bin/systemd-analyze'),
    // Its targets, too, which units name; the empty one at the end is the usual path.
    env: { LD_LIBRARY_PATH: librariesIn(got.root), SYSTEMD_UNIT_PATH: join(got.root, 'lib/systemd/system:') },
  };
}
