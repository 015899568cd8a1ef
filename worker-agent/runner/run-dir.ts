import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { RunId } from '#core/model/ids.ts';
import type { RunPlan } from '../runner.ts';

/** What the agent writes into `started` to make sure that nothing starts any more. */
const barred = 'disarmed';

export interface Claim {
  fence: string;
  incarnation: string;
  claimedAt: number;
}

/**
 * One run's directory: run.json (the plan), stdin, output, claimed, started, exit. Everything a restarted agent needs to know of
 * the run is in it. Only the agent's user may look inside.
 */
export class RunDir {
  readonly path: string;
  readonly #root: string;

  constructor(root: string, run: RunId) {
    this.#root = root;
    this.path = join(root, run);
  }

  file(name: 'run.json' | 'stdin' | 'output' | 'claimed' | 'started' | 'exit'): string {
    return join(this.path, name);
  }

  /** Begins anew: what an un-armed try has left is gone. */
  create(plan: RunPlan): void {
    rmSync(this.path, { recursive: true, force: true });
    mkdirSync(this.path, { mode: 0o700 });
    writeFileSync(this.file('run.json'), JSON.stringify(plan), { mode: 0o600 });
    if (plan.job.stdin !== null) writeFileSync(this.file('stdin'), plan.job.stdin, { mode: 0o600 });
  }

  /** The plan, or null: torn or not ours. */
  plan(): RunPlan | null {
    try {
      const plan = JSON.parse(readFileSync(this.file('run.json'), 'utf8')) as RunPlan;
      return typeof plan.run === 'string' && typeof plan.job === 'object' ? plan : null;
    } catch {
      // Missing or torn, as a crash or a full disk leaves it: the caller sets it aside and says so.
      return null;
    }
  }

  /** The fence on a line of its own: a shell reads byte by byte, and only as far as it needs. */
  claim({ fence, incarnation, claimedAt }: Claim): void {
    writeFileSync(this.file('claimed'), `${fence}\n${incarnation} ${claimedAt}\n`, { mode: 0o600 });
  }

  claimed(): Claim | null {
    const [fence, incarnation, claimedAt] = this.#read('claimed')?.trim().split(/\s/) ?? [];
    if (fence === undefined || incarnation === undefined || claimedAt === undefined) return null;
    return { fence, incarnation, claimedAt: Number(claimedAt) };
  }

  /** Makes sure that the command never starts; false: it has started. */
  bar(): boolean {
    let fd: number;
    try {
      fd = openSync(this.file('started'), 'wx', 0o600);
    } catch (error) {
      if (isCode(error, 'EEXIST')) return this.started() === null;
      if (isCode(error, 'ENOENT')) return true;
      throw error;
    }
    try {
      writeSync(fd, barred);
    } finally {
      closeSync(fd);
    }
    return true;
  }

  /** When the wrapper started the command (UTC ms) and its pid; null: it has not. */
  started(): { at: number; pid: number } | null {
    const stat = statSync(this.file('started'), { throwIfNoEntry: false });
    if (stat === undefined) return null;
    const pid = Number(this.#read('started'));
    // Between its making and its writing the file is empty: started, with the pid a moment later.
    return Number.isNaN(pid) ? null : { at: Math.floor(stat.mtimeMs), pid };
  }

  /** The wrapper's word for how the command ended: its status and when; null: none. */
  exit(): { code: number; at: number } | null {
    const text = this.#read('exit')?.trim();
    const stat = statSync(this.file('exit'), { throwIfNoEntry: false });
    return text && stat !== undefined ? { code: Number(text), at: Math.floor(stat.mtimeMs) } : null;
  }

  size(): number {
    return statSync(this.file('output'), { throwIfNoEntry: false })?.size ?? 0;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Out of the way, for somebody to look at. */
  setAside(): string {
    const damaged = join(this.#root, '..', 'damaged');
    mkdirSync(damaged, { recursive: true, mode: 0o700 });
    let to = join(damaged, this.path.slice(this.#root.length + 1));
    while (existsSync(to)) to += '+';
    renameSync(this.path, to);
    return to;
  }

  #read(name: 'claimed' | 'started' | 'exit'): string | null {
    try {
      return readFileSync(this.file(name), 'latin1');
    } catch (error) {
      if (isCode(error, 'ENOENT')) return null;
      throw error;
    }
  }
}

export function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
