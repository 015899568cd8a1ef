import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cache = fileURLToPath(new URL('../../.cache/debian', import.meta.url));

/**
 * Debian's packages, unpacked and not installed, in a folder of the project's .cache that is complete once it is there: two that
 * fetch at once do no harm. `missing` says why they can't be had.
 */
export async function unpacked(
  name: string,
  packages: readonly string[],
): Promise<{ root: string } | { missing: string }> {
  const root = join(cache, name);
  if (existsSync(root)) return { root };
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'making-'));
  try {
    let got = await run(work, ['apt-get', 'download', ...packages]);
    if (got.code !== 0 && process.getuid?.() === 0) {
      // Lists that are empty, as in a fresh container, or older than the archive.
      await run(work, ['apt-get', 'update']);
      got = await run(work, ['apt-get', 'download', ...packages]);
    }
    if (got.code !== 0) return { missing: `apt-get download ${packages.join(' ')} failed: ${got.said}` };
    const done = await run(work, ['sh', '-ec', 'for file in *.deb; do dpkg -x "$file" root; done']);
    if (done.code !== 0) return { missing: `dpkg -x failed: ${done.said}` };
    try {
      renameSync(join(work, 'root'), root);
    } catch (error) {
      // Somebody else's came first: it holds the same.
      if (!existsSync(root)) throw error;
    }
    return { root };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Where the libraries of unpacked packages lie, for LD_LIBRARY_PATH. */
export function librariesIn(root: string): string {
  const triplet = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch as string] ?? '';
  return ['usr/lib', 'lib']
    .flatMap((lib) => [join(root, lib, triplet), join(root, lib, triplet, 'systemd')])
    .join(':');
}

function run(
  cwd: string,
  [command = '', ...args]: readonly string[],
): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, timeout: 300_000, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (piece) => {
        output += piece;
      });
    child.on('error', ({ message }) => resolve({ code: 127, said: message }));
    child.on('close', (code) =>
      resolve({ code: code ?? 1, said: output.trim().split('\n').at(-1) ?? 'without a word' }),
    );
  });
}
