import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildRelease } from '#infra/scripts/release.ts';

export type ReleaseName = Parameters<typeof buildRelease>[0];

/** An unpacked release below `folder`, of a version of our choice, with the Node at `node` as its own. */
export async function release(
  folder: string,
  name: ReleaseName,
  version: string,
  node: string,
): Promise<string> {
  const path = join(folder, `${name}-${version}`);
  mkdirSync(dirname(path), { recursive: true });
  await buildRelease(name, { folder: path, version, node: null });
  // Not its 120 MB, many times over.
  symlinkSync(node, join(path, 'bin/node'));
  return path;
}
