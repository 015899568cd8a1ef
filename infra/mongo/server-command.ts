import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import type { MongoProgram } from './find-server.ts';

const primaryMs = 30_000;

export interface ServerPlan {
  /** Where it keeps its data; a second start on it goes on with them. */
  folder: string;
  /** On loopback; the stand-in takes a free one for 0. */
  port: number;
  /** Only who has a user's password may do anything. */
  auth?: boolean;
}

/** Program and arguments of one server on this machine, its folder made. */
export function serverCommand(
  { kind, path }: MongoProgram,
  { folder, port, auth = false }: ServerPlan,
): string[] {
  const data = join(folder, 'data');
  mkdirSync(data, { recursive: true });
  const access = auth ? ['--auth'] : [];
  if (kind === 'mongod')
    return [
      ...[path, '--bind_ip', '127.0.0.1', '--port', String(port), '--dbpath', data],
      // A set of one: majority writes, retryable ones and change streams want a set.
      ...['--replSet', 'cronfleet', '--wiredTigerCacheSizeGB', '0.25'],
      ...access,
    ];
  // An empty one of its own: it would look for a configuration in the home folder otherwise.
  const config = join(folder, 'secantusd.toml');
  writeFileSync(config, '');
  return [
    ...[path, '--config', config, '--host', '127.0.0.1', '--port', String(port)],
    // Without --sync-on-commit it loses acknowledged writes at kill -9, without --log-file-max it takes 2.1 GB at once.
    ...['--storage-path', data, '--log-file-max', '64MB', '--cache-size', '256M', '--sync-on-commit'],
    ...access,
  ];
}

/** Makes a mongod the only member of its set, if it isn't yet, and waits until it is primary. */
export async function beginSet(url: string): Promise<void> {
  const client = new MongoClient(url, { directConnection: true, serverSelectionTimeoutMS: primaryMs });
  try {
    const members = [{ _id: 0, host: new URL(url).host }];
    await client
      .db('admin')
      .command({ replSetInitiate: { _id: 'cronfleet', members } })
      .catch((error: { code?: number }) => {
        // AlreadyInitialized: a second start on the same data.
        if (error.code !== 23) throw error;
      });
    const until = performance.now() + primaryMs;
    while (!(await client.db('admin').command({ hello: 1 })).isWritablePrimary) {
      if (performance.now() > until) throw new Error(`mongod at ${url} did not become primary within 30 s`);
      await sleep(50);
    }
  } finally {
    await client.close();
  }
}
