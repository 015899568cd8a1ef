import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './run-program.ts';

const release = 'secantusdb==0.6.0b17';
const sha256 = 'fe8ccfd1295c872c92a4c4c13c5a6a1dead88b2ff3b9aafb361406ec8aac4d14';
/** As the wheel has it: the program looks for its libraries beside its own folder. */
const parts = ['secantusdb.scripts', 'secantusdb.libs'];
const pips = [['pip'], ['pip3'], ['python3', '-m', 'pip'], ['python', '-m', 'pip']] as const;

/** Where the program lies once it has been fetched. */
export function secantusIn(cache: string): string {
  return join(cache, release, 'secantusdb.scripts/secantusd-rs');
}

/**
 * Fetches the stand-in by whichever pip there is. The wheel is unpacked whatever Python that pip belongs to: nothing of it
 * is run but the server, which is a Linux program.
 */
export async function fetchSecantus(cache: string): Promise<{ path: string } | { missing: string }> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return { missing: `${release} is for Linux on x64 only` };
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'fetch-'));
  try {
    const wanted = join(folder, 'wanted.txt');
    writeFileSync(wanted, `${release} --hash=sha256:${sha256}\n`);
    const unpacked = join(folder, 'wheel');
    const args = ['install', '--quiet', '--no-deps', '--no-compile', '--no-cache-dir', '--require-hashes'];
    const wheel = ['--python-version', '311', '--implementation', 'cp', '--only-binary=:all:'];
    const problems: string[] = [];
    for (const [command, ...first] of pips) {
      const { error } = await runProgram(command, [
        ...first,
        ...args,
        ...wheel,
        '--target',
        unpacked,
        '-r',
        wanted,
      ]);
      if (error === null) return { path: keep(unpacked, folder, cache) };
      problems.push(error);
    }
    return { missing: `${release} cannot be had from PyPI: ${problems.join('; ')}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Moves what is needed into the cache, whole: another process may be fetching the same. */
function keep(unpacked: string, folder: string, cache: string): string {
  const kept = join(folder, 'kept');
  for (const part of parts) cpSync(join(unpacked, part), join(kept, part), { recursive: true });
  try {
    renameSync(kept, join(cache, release));
  } catch (error) {
    if (!existsSync(secantusIn(cache))) throw error;
    // The other was quicker, and has brought the same.
  }
  return secantusIn(cache);
}
