import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './run-program.ts';

const fetcher = 'mongodb-memory-server-core@11.3.0';
const host = 'https://fastdl.mongodb.org/';

/** The mongod that was downloaded into this cache earlier, or null. */
export function mongodIn(cache: string): string | null {
  const note = join(cache, 'mongod.path');
  return existsSync(note) ? readFileSync(note, 'utf8') : null;
}

/**
 * Has mongodb-memory-server download the mongod for this system. Its package comes when its download can be had and not
 * before: it brings a second driver and forty packages, which no other developer needs.
 */
export async function fetchMongod(cache: string): Promise<{ path: string } | { missing: string }> {
  try {
    await fetch(host, { method: 'HEAD', signal: AbortSignal.timeout(3_000) });
  } catch {
    // No network, no name, or a wall: all mean that there is nothing to download from.
    return { missing: `${host} does not answer` };
  }
  const folder = join(cache, 'memory-server');
  mkdirSync(folder, { recursive: true });
  const installed = await runProgram('npm', ['install', '--no-save', '--prefix', folder, fetcher]);
  if (installed.error !== null) return { missing: installed.error };
  const script = `
    import { writeFileSync } from 'node:fs';
    import { MongoBinary } from 'mongodb-memory-server-core';
    writeFileSync('found.path', await MongoBinary.getPath({ downloadDir: ${JSON.stringify(cache)} }));`;
  writeFileSync(join(folder, 'download.mjs'), `process.chdir(import.meta.dirname);${script}`);
  const downloaded = await runProgram(process.execPath, [join(folder, 'download.mjs')]);
  if (downloaded.error !== null) return { missing: downloaded.error };
  const path = readFileSync(join(folder, 'found.path'), 'utf8');
  writeFileSync(join(cache, 'mongod.path'), path);
  return { path };
}
