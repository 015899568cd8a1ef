import { join } from 'node:path';
import { type Program, startProgram } from './program.ts';

/** A real `up`, as a user has it: API, agent and stores of one machine in a process of its own. */
export interface Machine extends Pick<Program, 'memory' | 'cpu'> {
  /** From the start of the process to the line that says where it serves. */
  servesMs: number;
  /** The same to its agent's word that every job is in its hands. */
  readyMs: number;
  /** Asks the API for JSON; throws what it refuses. */
  // biome-ignore lint/suspicious/noExplicitAny: a bench knows from API.md what an answer holds.
  ask(method: string, path: string, body?: unknown): Promise<any>;
  /** Ends it as Ctrl-C does; settles when it is gone. */
  stop(): Promise<void>;
}

/** Starts it on `dir`/data, which may hold stores already; what it says goes to `dir`/log. What more the command line is told follows. */
export async function startMachine(dir: string, ...more: string[]): Promise<Machine> {
  const program = startProgram(
    ['up', '--data', join(dir, 'data'), '--listen', '127.0.0.1:0', ...more],
    join(dir, 'log'),
  );
  const stop = () => program.end('SIGINT');
  try {
    const serves = await program.said(/(http:\S+)\/#token=(\S+)/);
    const ready = await program.said(/"agent\.ready"/);
    const [, url = '', token = ''] = serves.found;
    return {
      servesMs: serves.ms,
      readyMs: ready.ms,
      ask: (method, path, body) => ask(`${url}/api/v1${path}`, token, method, body),
      memory: program.memory,
      cpu: program.cpu,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ask(url: string, token: string, method: string, body: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
  return response.json();
}
