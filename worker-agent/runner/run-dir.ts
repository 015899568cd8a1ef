import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import type { RunId } from '#core/model/ids.ts';
import { Job } from '#core/model/job.ts';
import type { RunPlan } from '../runner.ts';
import { isCode } from './faults.ts';
import type { SpareDirs } from './spare-dirs.ts';

export interface Claim {
  fence: string;
  incarnation: string;
  claimedAt: number;
}

const endings = ['killed', 'timed_out', 'cut_off'] as const;
/** Why a ladder went for a run; cut_off: the lease was over. */
export type Ending = (typeof endings)[number];

type Name = 'run.json' | 'stdin' | 'output' | 'cut' | 'claimed' | 'started' | 'ending' | 'exit';

/**
 * One run's directory: run.json (the plan), stdin, output, claimed, started, ending, exit. Everything a restarted agent needs to know of
 * the run is in it. Only the agent's user may look inside.
 */
export class RunDir {
  readonly path: string;
  readonly #root: string;

  constructor(root: string, run: RunId) {
    this.#root = root;
    this.path = join(root, run);
  }

  file(name: Name): string {
    return join(this.path, name);
  }

  /**
   * Begins anew: what an un-armed try has left is gone. `boot` tells a later reader whether the host went down since. The markers are there
   * from now on, empty, and say something once they are written: a new file costs a disk up to a millisecond, which around an instant nobody
   * has, and a thousand of them the whole of a second. It gets its name when its plan is written: nobody finds half of it.
   */
  create(plan: RunPlan, boot: string, spares: SpareDirs): void {
    rmSync(this.path, { recursive: true, force: true });
    const spare = spares.take();
    try {
      writeFileSync(join(spare, 'run.json'), JSON.stringify({ boot, plan }));
      if (plan.job.stdin !== null) writeFileSync(join(spare, 'stdin'), plan.job.stdin, { mode: 0o600 });
      renameSync(spare, this.path);
    } catch (error) {
      rmSync(spare, { recursive: true, force: true });
      throw error;
    }
  }

  /** What `create` wrote, or null: torn or not ours. A job of an older version gets the defaults of what it lacks. */
  read(): { boot: string; plan: RunPlan } | null {
    try {
      const { boot, plan } = JSON.parse(readFileSync(this.file('run.json'), 'utf8'));
      if (typeof boot !== 'string' || typeof plan.run !== 'string' || typeof plan.job !== 'object')
        return null;
      const job = v.safeParse(Job, plan.job);
      return { boot, plan: job.success ? { ...plan, job: job.output } : plan };
    } catch {
      // Missing or torn, as a crash or a full disk leaves it: the caller sets it aside and says so.
      return null;
    }
  }

  /** Neither plan nor claim nor start: an arming that a crash cut off, or a power cut emptied, before there was anything to run. */
  isBlank(): boolean {
    return this.#size('run.json') + this.#size('claimed') + this.#size('started') === 0;
  }

  exists(): boolean {
    return existsSync(this.path);
  }

  /** The fence on a line of its own: a shell reads byte by byte, and only as far as it needs. */
  claim({ fence, incarnation, claimedAt }: Claim): void {
    writeFileSync(this.file('claimed'), `${fence}\n${incarnation} ${claimedAt}\n`, { mode: 0o600 });
  }

  claimed(): Claim | null {
    const [fence, incarnation, claimedAt] = this.#text('claimed')?.trim().split(/\s/) ?? [];
    if (fence === undefined || incarnation === undefined || claimedAt === undefined) return null;
    return { fence, incarnation, claimedAt: Number(claimedAt) };
  }

  /** When the wrapper began to start the command (UTC ms); null: it has not. */
  startedAt(): number | null {
    const stat = statSync(this.file('started'), { throwIfNoEntry: false });
    // While it is empty nothing runs yet.
    return stat === undefined || stat.size === 0 ? null : Math.floor(stat.mtimeMs);
  }

  /** The wrapper's pid, once it has started its command. */
  startedBy(): number | null {
    const pid = Number(this.#text('started') ?? '');
    return pid > 0 ? pid : null;
  }

  /** The wrapper's word for how the command ended: its status and when; null: none. */
  exit(): { code: number; at: number } | null {
    // Asked often and mostly not there: an error for that would cost ten times as much.
    const stat = statSync(this.file('exit'), { throwIfNoEntry: false });
    const text = stat === undefined ? null : this.#text('exit')?.trim();
    return text && stat !== undefined ? { code: Number(text), at: Math.floor(stat.mtimeMs) } : null;
  }

  /** Why a ladder of ours went for it, the warden's too, also in an earlier life of the agent; null: none did. */
  ending(): Ending | null {
    const why = this.#text('ending');
    return endings.find((one) => one === why) ?? null;
  }

  /** Kept before the first signal: afterwards an exit status of 128 + n does not tell whose signal it was. */
  keepEnding(why: Ending): void {
    writeFileSync(this.file('ending'), why, { mode: 0o600 });
  }

  /** Two numbers that output-tail.ts keeps about a truncated output. */
  cut(): [number, number] | null {
    const [base, handed] = this.#text('cut')?.split(' ').map(Number) ?? [];
    return base === undefined || handed === undefined ? null : [base, handed];
  }

  keepCut(base: number, handed: number): void {
    const file = this.file('cut');
    writeFileSync(`${file}.new`, `${base} ${handed}`, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Out of the way, for somebody to look at. */
  setAside(): string {
    const damaged = join(this.#root, '..', 'damaged');
    mkdirSync(damaged, { recursive: true, mode: 0o700 });
    const name = this.path.slice(this.#root.length + 1);
    let to = join(damaged, name);
    for (let n = 2; existsSync(to); n += 1) to = join(damaged, `${name.slice(0, 240)}+${n}`);
    renameSync(this.path, to);
    return to;
  }

  #size(name: Name): number {
    return statSync(this.file(name), { throwIfNoEntry: false })?.size ?? 0;
  }

  #text(name: Name): string | null {
    try {
      return readFileSync(this.file(name), 'latin1');
    } catch (error) {
      if (isCode(error, 'ENOENT')) return null;
      throw error;
    }
  }
}
