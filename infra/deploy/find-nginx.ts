import { join } from 'node:path';
import { librariesIn, unpacked } from './debian.ts';
import { inPath } from './find-program.ts';

/** nginx: in PATH, else out of Debian's packages. */
export async function findNginx(): Promise<
  { path: string; env: Record<string, string> } | { missing: string }
> {
  const path = inPath('nginx');
  if (path !== null) return { path, env: {} };
  const got = await unpacked('nginx', ['nginx', 'libpcre2-8-0', 'libssl3', 'libcrypt1', 'zlib1g']);
  if ('missing' in got) return { missing: `no nginx in PATH; ${got.missing}` };
  return { path: join(got.root, 'usr/sbin/nginx'), env: { LD_LIBRARY_PATH: librariesIn(got.root) } };
}
