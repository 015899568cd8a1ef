import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { findMongoProgram, type MongoProgram } from './find-server.ts';

export interface MongoServer {
  /** Without a database. */
  url: string;
  kind: MongoProgram['kind'];
  pid: number;
  port: number;
  /** Ends it and waits until it is gone; it has closed its files unless it was killed. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

export interface StartOptions {
  /** Where it keeps its data; a second start on it goes on with them. */
  folder: string;
  /** Left out: any free one. */
  port?: number;
  /** Only who has a user's password may do anything. */
  auth?: boolean;
}

const readyMs = 30_000;
const stopMs = 10_000;

/** Starts a server of our own on loopback, by the ladder of find-server.ts. It never outlives this process. */
export async function startMongo(options: StartOptions): Promise<MongoServer | { missing: string }> {
  const program = await findMongoProgram();
  if ('missing' in program) return program;
  mkdirSync(join(options.folder, 'data'), { recursive: true });
  return await (program.kind === 'mongod' ? startMongod : startSecantus)(program, options);
}

async function startSecantus(
  { kind, path }: MongoProgram,
  { folder, port = 0, auth = false }: StartOptions,
): Promise<MongoServer> {
  // An empty one of its own: it would look for a configuration in the home folder otherwise.
  const config = join(folder, 'secantusd.toml');
  writeFileSync(config, '');
  const args = ['--config', config, '--host', '127.0.0.1', '--port', String(port)];
  // Without --sync-on-commit it loses acknowledged writes at kill -9, without --log-file-max it takes 2.1 GB at once.
  const storage = ['--storage-path', join(folder, 'data'), '--log-file-max', '64MB', '--cache-size', '256M'];
  const server = launch(path, [...args, ...storage, '--sync-on-commit', ...(auth ? ['--auth'] : [])]);
  const at = await server.says(/listening on 127\.0\.0\.1:(\d+)/);
  return { kind, url: `mongodb://127.0.0.1:${at}`, port: Number(at), pid: server.pid, stop: server.stop };
}

async function startMongod(
  { kind, path }: MongoProgram,
  { folder, port, auth = false }: StartOptions,
): Promise<MongoServer> {
  const at = port ?? (await freePort());
  const server = launch(path, [
    ...['--bind_ip', '127.0.0.1', '--port', String(at), '--dbpath', join(folder, 'data')],
    // A set of one: majority writes, retryable ones and change streams want a set.
    ...['--replSet', 'cronfleet', '--wiredTigerCacheSizeGB', '0.25'],
    ...(auth ? ['--auth'] : []),
  ]);
  await server.says(/(Waiting for connections)/);
  const url = `mongodb://127.0.0.1:${at}`;
  const client = new MongoClient(url, { directConnection: true, serverSelectionTimeoutMS: readyMs });
  try {
    const members = [{ _id: 0, host: `127.0.0.1:${at}` }];
    await client
      .db('admin')
      .command({ replSetInitiate: { _id: 'cronfleet', members } })
      .catch((error: { code?: number }) => {
        // AlreadyInitialized: a second start on the same data.
        if (error.code !== 23) throw error;
      });
    const until = performance.now() + readyMs;
    while (!(await client.db('admin').command({ hello: 1 })).isWritablePrimary) {
      if (performance.now() > until)
        throw new Error(`mongod on port ${at} did not become primary within 30 s`);
      await sleep(50);
    }
  } catch (error) {
    await server.stop('SIGKILL');
    throw error;
  } finally {
    await client.close();
  }
  return { kind, url, port: at, pid: server.pid, stop: server.stop };
}

function launch(path: string, args: readonly string[]) {
  const child: ChildProcess = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const { pid, stdout, stderr } = child;
  if (pid === undefined || stdout === null || stderr === null)
    throw new Error(`${path} could not be started`);
  const killed = () => void child.kill('SIGKILL');
  process.once('exit', killed);
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => {
      process.off('exit', killed);
      resolve();
    });
  });
  let said = '';
  for (const stream of [stdout, stderr])
    stream.on('data', (data: Buffer) => {
      said = `${said}${data}`.slice(-20_000);
    });
  return {
    pid,
    async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
      child.kill(signal);
      const late = setTimeout(killed, stopMs);
      await gone;
      clearTimeout(late);
    },
    /** The first group of what it says; throws where it ends, or `readyMs` pass, before it does. */
    says(pattern: RegExp): Promise<string> {
      return new Promise((resolve, reject) => {
        const fail = (why: string) => {
          killed();
          reject(new Error(`${path} ${why}; it said: ${said.slice(-2_000)}`));
        };
        const late = setTimeout(() => fail('was not ready within 30 s'), readyMs);
        const look = () => {
          const found = pattern.exec(said)?.[1];
          if (found === undefined) return;
          clearTimeout(late);
          stdout.off('data', look);
          resolve(found);
        };
        stdout.on('data', look);
        void gone.then(() => {
          clearTimeout(late);
          fail('has ended');
        });
      });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1');
  return address.port;
}
