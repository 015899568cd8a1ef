import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { createRunner, type RunnerOptions } from '#agent/runner/create.ts';
import type { FoundRun, RunEnd, Runner, RunPlan } from '#agent/runner.ts';
import type { RunId } from '#core/model/ids.ts';
import { Job, type JobInput } from '#core/model/job.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event } from '#core/ports/events.ts';
import { systemClock } from '#core/ports/system-clock.ts';
import { systemIds } from '#core/ports/system-ids.ts';
import { until, within } from '#test/until.ts';
import { MemoryLedger } from './memory-ledger.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;

/** What `begin` needs besides: everything of a job but its name, and the gate if it shares one. */
export type Given = Omit<JobInput, 'name'> & { gate?: string };

export function planOf(name: string, { gate, ...job }: Given, more: Partial<RunPlan> = {}): RunPlan {
  const run: RunId = `default~${name}~o${name}~1`;
  return {
    ...{ run, job: v.parse(Job, { ...job, name }), lane: '~', instant: null, attempt: 1, trigger: 'manual' },
    ...{ env: {}, order: null, by: null, losses: 0, covers: null, shard: null, gate: gate ?? run },
    ...more,
  };
}

/** Kills all of the run's processes at a blow. */
export function shoot(run: RunId): void {
  for (const pid of tagged(run))
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // One of the command's short sleeps, which ended since it was seen.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
}

/** Killed, they can do nothing any more; but a busy host may take a moment to let them go. */
export async function goneAll(run: RunId): Promise<void> {
  await until(
    `every process of ${run} to be gone`,
    () => tagged(run),
    ({ length }) => length === 0,
  );
}

/** Of this process's runners: another that runs these tests has runs of the same ids, which are none of ours. */
const folders = new Set<string>();

/** A folder for runners, be it of a process that this one starts. */
export function runnerFolder(name: string): string {
  const dir = mkdtempSync(join(tmpdir(), `cronfleet-${name}-`));
  folders.add(dir);
  return dir;
}

/** The living processes that carry a run's tag. */
export function tagged(run: RunId): number[] {
  const isOurs = (environ: string) =>
    environ.includes(`CRON_RUN_ID=${run}\0`) && [...folders].some((dir) => environ.includes(`HOME=${dir}\0`));
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && isOurs(readProc(`/proc/${pid}/environ`)));
}

/** '' where the process went meanwhile. */
export function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // Gone, or a kernel thread: either way there is nothing to read.
    return '';
  }
}

export function isAlive(pid: number): boolean {
  const state = /\) (\S)/.exec(readProc(`/proc/${pid}/stat`))?.[1];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** A runner with real processes in a folder of its own, and what it told. */
export class RunnerHost {
  readonly dir: string;
  readonly clock = systemClock();
  readonly events: Event[] = [];
  ledger = new MemoryLedger();
  runner: Runner;
  found: FoundRun[] = [];
  readonly ends = new Map<RunId, RunEnd>();
  readonly starts = new Map<RunId, number>();
  readonly #armed = new Set<RunId>();
  #told: (() => void)[] = [];
  readonly #options: Partial<RunnerOptions>;

  constructor(options: Partial<RunnerOptions> = {}, dir = runnerFolder('runner')) {
    folders.add(dir);
    this.dir = dir;
    this.#options = options;
    this.runner = this.#make();
  }

  #make(): Runner {
    const events = eventBus();
    events.on((event) => {
      this.events.push(event);
      this.#tell();
    });
    const { clock, dir, ledger } = this;
    const program = [process.execPath, main];
    const env = { PATH: process.env.PATH, HOME: dir, LANG: 'C.UTF-8', CRONFLEET_TOKEN: 'hush' };
    return createRunner({
      ...{ dir, clock, ids: systemIds(), ledger, events, env, platform: process.platform, program },
      ...this.#options,
    });
  }

  async adopt(): Promise<this> {
    this.found = await this.runner.adopt({
      started: (run, at) => {
        this.starts.set(run, at);
        this.#tell();
      },
      ended: (run, end) => {
        if (this.ends.has(run)) throw new Error(`${run} ended twice`);
        this.ends.set(run, end);
        this.#tell();
      },
    });
    return this;
  }

  /** Stops as an agent does in good order, and starts the next one on the same folder. */
  async restart(): Promise<void> {
    await this.runner.stop();
    this.ledger = new MemoryLedger();
    this.runner = this.#make();
    await this.adopt();
  }

  /** Arms alone; the refusal's code if there is one. */
  async arm(plan: RunPlan): Promise<string | null> {
    this.#armed.add(plan.run);
    return (await this.runner.arm([plan])).get(plan.run)?.code ?? null;
  }

  claim(plan: RunPlan): Promise<void> {
    return this.runner.markClaimed(plan.run, { fence: '7', incarnation: '3', claimedAt: this.clock.now() });
  }

  /** Under a lease that holds for longer than a wrapper takes to wake on the busiest host. */
  release(gate: string, aheadMs = 600_000): Promise<void> {
    return this.runner.release(gate, this.clock.boot() + aheadMs);
  }

  /** Arms, claims and releases; the run's id. */
  async begin(name: string, given: Given, more: Partial<RunPlan> = {}): Promise<RunId> {
    const plan = planOf(name, given, more);
    this.#armed.add(plan.run);
    const refused = (await this.runner.arm([plan])).get(plan.run);
    if (refused != null) throw new Error(`${refused.code}: ${refused.reason}`);
    await this.claim(plan);
    await this.release(plan.gate);
    return plan.run;
  }

  async ended(run: RunId): Promise<RunEnd> {
    await this.until(`the end of ${run}`, () => this.ends.has(run));
    const end = this.ends.get(run);
    if (end === undefined) throw new Error('unreachable');
    return end;
  }

  /** Resolves when it is so; looks at every event of the runner. Where it never is, says for what it was waited. */
  async until(what: string, so: () => boolean): Promise<void> {
    const coming = async () => {
      while (!so()) await new Promise<void>((resolve) => this.#told.push(resolve));
    };
    const { starts, ends, events } = this;
    await within(what, coming(), () => ({ starts, ends, events: events.slice(-10) }));
  }

  /** Runs to the end; what it wrote, and how it ended. */
  async run(name: string, given: Given, more: Partial<RunPlan> = {}): Promise<RunEnd & { text: string }> {
    const run = await this.begin(name, given, more);
    const end = await this.ended(run);
    return { ...end, text: this.ledger.text(run) };
  }

  /** Kills whatever is left, and removes the folder. */
  async close(): Promise<void> {
    const runs = new Set([...this.#armed, ...this.starts.keys(), ...this.found.map(({ plan }) => plan.run)]);
    for (const run of runs) {
      if (!this.ends.has(run)) await this.runner.kill(run, { signal: 'KILL', graceMs: 0 });
      await this.runner.forget(run);
    }
    await this.runner.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  #tell(): void {
    for (const tell of this.#told.splice(0)) tell();
  }
}
