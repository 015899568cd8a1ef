import { join } from 'node:path';
import { librariesIn, unpacked } from './debian.ts';
import { inPath } from './find-program.ts';

/** iproute2's `ip`: in PATH, else out of Debian's packages. */
export async function findIp(): Promise<{ path: string; env: Record<string, string> } | { missing: string }> {
  const path = inPath('ip');
  if (path !== null) return { path, env: {} };
  const got = await unpacked('iproute2', [
    // With what of its libraries a small image leaves out.
    ...['iproute2', 'libbpf1', 'libelf1', 'libmnl0', 'libbsd0', 'libmd0', 'libcap2', 'zlib1g'],
  ]);
  if ('missing' in got) return { missing: `no ip in PATH; ${got.missing}` };
  return { path: join(got.root, 'bin/ip'), env: { LD_LIBRARY_PATH: librariesIn(got.root) } };
}
