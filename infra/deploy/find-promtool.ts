import { join } from 'node:path';
import { unpacked } from './debian.ts';
import { inPath } from './find-program.ts';

/** `promtool`, which judges rules and configurations of Prometheus: in PATH, else out of Debian's package. */
export async function findPromtool(): Promise<{ path: string } | { missing: string }> {
  const path = inPath('promtool');
  if (path !== null) return { path };
  const got = await unpacked('prometheus', ['prometheus']);
  if ('missing' in got) return { missing: `no promtool in PATH; ${got.missing}` };
  return { path: join(got.root, 'usr/bin/promtool') };
}
