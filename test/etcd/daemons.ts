import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { until, within } from '#test/until.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;

export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** A process of a fleet. */
export interface Daemon {
  child: ChildProcess;
  /** The line that it printed when it was ready. */
  line: string;
  err(): string;
  /** Waits until it has said so on its standard error; throws where it ends before. */
  says(wanted: RegExp): Promise<void>;
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Agents, servers and command lines on one store and one history, each a process of its own. */
export class Daemons {
  readonly dir: string;
  readonly #stores: string[];
  readonly #all = new Set<Daemon>();
  url = '';
  token = '';

  constructor(dir: string, endpoints: string, history = `sqlite:${join(dir, 'history.sqlite')}`) {
    this.dir = dir;
    this.#stores = ['--kv', `etcd://${endpoints}`, '--history', history];
  }

  /** Runs a command to its end; `--kv` where it is direct. */
  async cli(...args: string[]): Promise<Ended> {
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, NO_COLOR: '1' } });
    const ended: Ended = { code: null, out: '', err: '' };
    child.stdout.on('data', (piece) => {
      ended.out += piece;
    });
    child.stderr.on('data', (piece) => {
      ended.err += piece;
    });
    try {
      [ended.code] = await within(`${args.join(' ')} to end`, once(child, 'close'), () => ended);
    } finally {
      // One that goes on where it should not.
      child.kill('SIGKILL');
    }
    return ended;
  }

  /** The first token of the fleet, made in the store itself. */
  async makeToken(): Promise<void> {
    const made = await this.cli(
      'token',
      'create',
      'test',
      '--role',
      'admin',
      '--direct',
      ...this.#stores.slice(0, 2),
    );
    if (made.code !== 0) throw new Error(made.err);
    this.token = made.out.trim();
  }

  async #start(args: string[]): Promise<Daemon> {
    const child = spawn(process.execPath, [main, ...args, ...this.#stores, '--log-level', 'warn'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (piece) => {
      err += piece;
    });
    const what = args.join(' ');
    const daemon: Daemon = {
      ...{ child, line: '', err: () => err },
      says: async (wanted) => {
        await until(
          `${what} to say ${wanted}`,
          () => {
            if (child.exitCode !== null && !wanted.test(err))
              throw new Error(`${what} ended with ${child.exitCode}: ${err}`);
            return err;
          },
          (said) => wanted.test(said),
        );
      },
      end: async (signal) => {
        this.#all.delete(daemon);
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        child.kill(signal);
        // Who was stopped by a test that has failed takes notice of nothing else.
        child.kill('SIGCONT');
        await within(`${what} to end by ${signal}`, gone, () => err);
      },
    };
    // From now on: one that never gets ready is ended, too.
    this.#all.add(daemon);
    const ready = new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (text) => resolve(String(text).trim()));
      child.once('exit', (code) => reject(new Error(`${what} ended with ${code}: ${err}`)));
    });
    daemon.line = await within(`${what} to be ready`, ready, () => err);
    return daemon;
  }

  agent(id: string, ...more: string[]): Promise<Daemon> {
    return this.#start(['agent', '--data', join(this.dir, id), '--id', id, ...more]);
  }

  /** Its URL becomes the one that is asked, unless there is one already. */
  async server(port = 0): Promise<Daemon & { url: string }> {
    const server = await this.#start(['server', '--listen', `127.0.0.1:${port}`]);
    const [url = ''] = /http:\S+/.exec(server.line) ?? [];
    this.url ||= url;
    return { ...server, url };
  }

  // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what an answer holds.
  async ask(method: string, path: string, body?: unknown, url = this.url): Promise<any> {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#all].map((one) => one.end('SIGTERM')));
  }
}
