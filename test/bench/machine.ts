import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
/** How often the log is looked at while the machine starts. */
const lookMs = 10;

/** A real `up`, as a user has it: API, agent and stores of one machine in a process of its own. */
export interface Machine {
  /** From the start of the process to the line that says where it serves. */
  servesMs: number;
  /** The same to its agent's word that every job is in its hands. */
  readyMs: number;
  /** Asks the API for JSON; throws what it refuses. */
  // biome-ignore lint/suspicious/noExplicitAny: a bench knows from API.md what an answer holds.
  ask(method: string, path: string, body?: unknown): Promise<any>;
  /** Resident memory of the process in bytes: now, and at its highest. */
  memory(): { now: number; highest: number };
  /** Ends it as Ctrl-C does; settles when it is gone. */
  stop(): Promise<void>;
}

/** Starts it on `dir`/data, which may hold stores already; what it says goes to `dir`/log. */
export async function startMachine(dir: string): Promise<Machine> {
  const file = join(dir, 'log');
  // Straight into a file, as a service's log goes: nobody else has to wake for a line of it.
  const log = openSync(file, 'w');
  const began = performance.now();
  const child = spawn(
    process.execPath,
    [main, 'up', '--data', join(dir, 'data'), '--listen', '127.0.0.1:0'],
    { stdio: ['ignore', log, log] },
  );
  closeSync(log);
  const exit = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGINT');
    await exit;
  };
  const said = async (wanted: RegExp) => {
    for (;;) {
      const text = readFileSync(file, 'utf8');
      const found = wanted.exec(text);
      if (found !== null) return { found, ms: performance.now() - began };
      if (child.exitCode !== null) throw new Error(`up ended with ${child.exitCode}: ${text}`);
      await sleep(lookMs);
    }
  };
  try {
    const serves = await said(/(http:\S+)\/#token=(\S+)/);
    const ready = await said(/"agent\.ready"/);
    const [, url = '', token = ''] = serves.found;
    return {
      servesMs: serves.ms,
      readyMs: ready.ms,
      ask: (method, path, body) => ask(`${url}/api/v1${path}`, token, method, body),
      memory: () => memoryOf(child.pid ?? 0),
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

function memoryOf(pid: number): { now: number; highest: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1_024;
  return { now: bytes('VmRSS'), highest: bytes('VmHWM') };
}
