import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { MongoClient } from 'mongodb';
import { type UsedServer, useMongo } from '#infra/mongo/use-server.ts';

export interface TestServer {
  /** A database of its own, dropped at the end. */
  database(): { url: string; name: string };
  /** Connected, for what a test wants to see or do behind the back of the code under test. */
  client: MongoClient;
  url: string;
  /** Whether it is a true mongod, and not a stand-in. */
  isTrue: boolean;
}

/** The MongoDB server of a test file, ended after it. Where none can be had the ring has not begun. */
export async function mongoForTests(): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'cronfleet-mongo-'));
  const server = await useMongo({ folder });
  if ('missing' in server) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(server.missing);
  }
  const client = new MongoClient(server.url, { serverSelectionTimeoutMS: 10_000 });
  const made: string[] = [];
  after(async () => {
    await Promise.all(made.map((name) => client.db(name).dropDatabase()));
    await end(server, client, folder);
  });
  const { modules, gitVersion } = await client.db().command({ buildInfo: 1 });
  return {
    client,
    url: server.url,
    // The stand-in has no git version but noughts; a build of MongoDB names its modules, if only that it has none.
    isTrue: Array.isArray(modules) && !/^0+$/.test(gitVersion),
    database() {
      const name = `cronfleet-test-${process.pid}-${made.length}`;
      made.push(name);
      const url = new URL(server.url);
      url.pathname = `/${name}`;
      return { url: url.href, name };
    },
  };
}

async function end(server: UsedServer, client: MongoClient, folder: string): Promise<void> {
  await client.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
