import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

export interface ChildPlan {
  name: string;
  /** Program and arguments. */
  command: readonly string[];
  env?: Record<string, string>;
  /** What it says is appended here. */
  log: string;
}

export interface ChildDeps {
  /** Kept alive: started again so long after its end, as a service manager would. */
  restartMs: number;
  /** From TERM to KILL at a stop. */
  stopMs: number;
  /** The pid of a child has changed; null: it is not there now. */
  changed(): void;
  /** Told of each end that nobody asked for. */
  died(name: string, how: string): void;
}

/** One process that is kept alive until it is stopped, in a session of its own: a Ctrl-C reaches the fleet, not its parts. */
export class Child {
  readonly plan: ChildPlan;
  readonly #deps: ChildDeps;
  #process: ChildProcess | null = null;
  #gone: Promise<void> = Promise.resolve();
  #stopping = false;
  #later: NodeJS.Timeout | null = null;

  constructor(plan: ChildPlan, deps: ChildDeps) {
    this.plan = plan;
    this.#deps = deps;
  }

  get name(): string {
    return this.plan.name;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  start(): void {
    this.#stopping = false;
    // Whoever starts it by hand is earlier than its supervisor.
    if (this.#later !== null) clearTimeout(this.#later);
    this.#later = null;
    const [program = '', ...args] = this.plan.command;
    const log = openSync(this.plan.log, 'a', 0o600);
    const child = spawn(program, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.plan.env },
      detached: true,
    });
    closeSync(log);
    this.#process = child;
    this.#gone = new Promise((resolve) => {
      const ended = (how: string) => {
        if (this.#process !== child) return;
        this.#process = null;
        this.#ended(how);
        resolve();
      };
      child.once('error', (error) => ended(error.message));
      child.once('exit', (code, signal) =>
        ended(signal === null ? `exit status ${code}` : `signal ${signal}`),
      );
    });
    this.#deps.changed();
  }

  #ended(how: string): void {
    this.#deps.changed();
    if (this.#stopping) return;
    this.#deps.died(this.name, how);
    this.#later = setTimeout(() => this.start(), this.#deps.restartMs);
  }

  /** Whatever it is asked for, as somebody would from outside; nothing where it is not there. */
  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name);
  }

  /** Settles when the process that is there now has gone. */
  gone(): Promise<void> {
    return this.#gone;
  }

  /** Asks it to end, then ends it; settles when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#later !== null) clearTimeout(this.#later);
    const child = this.#process;
    if (child === null) return;
    child.kill('SIGTERM');
    // A stopped process would not take notice of TERM.
    child.kill('SIGCONT');
    const late = setTimeout(() => child.kill('SIGKILL'), this.#deps.stopMs);
    await this.#gone;
    clearTimeout(late);
  }
}
