import { type ChildProcess, spawn } from 'node:child_process';
import { freePorts } from '../free-ports.ts';
import { findMongoProgram, type MongoProgram } from './find-server.ts';
import { beginSet, type ServerPlan, serverCommand } from './server-command.ts';

export interface MongoServer {
  /** Without a database. */
  url: string;
  kind: MongoProgram['kind'];
  pid: number;
  port: number;
  /** Ends it and waits until it is gone; it has closed its files unless it was killed. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

export interface StartOptions extends Omit<ServerPlan, 'port'> {
  /** Left out: any free one. */
  port?: number;
}

const readyMs = 30_000;
const stopMs = 10_000;

/** Starts a server of our own on loopback, by the ladder of find-server.ts. It never outlives this process. */
export async function startMongo(options: StartOptions): Promise<MongoServer | { missing: string }> {
  const program = await findMongoProgram();
  if ('missing' in program) return program;
  return await (program.kind === 'mongod' ? startMongod : startSecantus)(program, options);
}

async function startSecantus(program: MongoProgram, options: StartOptions): Promise<MongoServer> {
  const server = launch(serverCommand(program, { ...options, port: options.port ?? 0 }));
  const at = await server.says(/listening on 127\.0\.0\.1:(\d+)/);
  return {
    kind: program.kind,
    url: `mongodb://127.0.0.1:${at}`,
    port: Number(at),
    pid: server.pid,
    stop: server.stop,
  };
}

async function startMongod(program: MongoProgram, options: StartOptions): Promise<MongoServer> {
  const [free = 0] = options.port === undefined ? await freePorts(1) : [options.port];
  const server = launch(serverCommand(program, { ...options, port: free }));
  await server.says(/(Waiting for connections)/);
  const url = `mongodb://127.0.0.1:${free}`;
  try {
    await beginSet(url);
  } catch (error) {
    await server.stop('SIGKILL');
    throw error;
  }
  return { kind: program.kind, url, port: free, pid: server.pid, stop: server.stop };
}

function launch([path = '', ...args]: readonly string[]) {
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
