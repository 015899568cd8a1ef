import { spawn } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { durationMs } from '#core/model/duration.ts';
import type { RunId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Ledger } from '../ledger.ts';
import type { FoundRun, KillReport, Runner, RunnerEvents, RunPlan } from '../runner.ts';
import { findCgroups } from './cgroup.ts';
import { commandOf } from './command.ts';
import { GatePipe } from './gate-pipe.ts';
import { climb } from './kill-ladder.ts';
import { endOf, type LiveProcess } from './live-process.ts';
import { OutputTail } from './output-tail.ts';
import { isOf } from './processes.ts';
import { isCode, RunDir } from './run-dir.ts';
import { wrapperText } from './wrapper.ts';

/** How often outputs, starts and adopted processes are looked at: output must be readable elsewhere within 300 ms. */
const lookEveryMs = 50;
/** Arming leaves the event loop free at least this often. */
const sliceMs = 10;
/** A `go` is of no use once every wrapper of its gate has read it. */
const goStaysMs = 60_000;

export interface RunnerOptions {
  /** Holds runs/ and gates/; nobody else may use it. */
  dir: string;
  clock: Clock;
  ids: Ids;
  ledger: Pick<Ledger, 'output'>;
  events: Events;
  /** The agent's environment, of which commands see an allow-list. */
  env: Record<string, string | undefined>;
  platform: string;
}

/** Starts and watches this host's runs as processes (Linux: /proc, sessions, cgroup v2 where it may be had). */
export function createRunner(options: RunnerOptions): Runner {
  const { clock, ids, ledger, events } = options;
  if (options.platform !== 'linux')
    throw new Refusal(
      'platform_unsupported',
      `agents run on Linux; this is ${options.platform}. API, site and command line run here`,
    );
  // Absolute: the wrappers run in the folders of their jobs.
  const root = resolve(options.dir);
  const runsDir = join(root, 'runs');
  const gatesDir = join(root, 'gates');
  const cgroups = findCgroups(root);
  const live = new Map<RunId, LiveProcess>();
  const gates = new Map<string, Promise<GatePipe>>();
  let see: RunnerEvents = { started() {}, ended() {} };
  let cancelLook: (() => void) | null = null;
  let stopped = false;

  function track(
    plan: RunPlan,
    dir: RunDir,
    known: Pick<LiveProcess, 'child' | 'pid' | 'inCgroup' | 'phase'>,
  ): LiveProcess {
    const expireAt = clock.now() + durationMs(plan.job.retention);
    const { promise: gone, resolve: setGone } = Promise.withResolvers<void>();
    const tail = new OutputTail(dir, plan.job.output.max, (offset, data) =>
      ledger.output(plan.run, offset, data, expireAt),
    );
    const base = { startedAt: null, releasedAt: 0, ending: null, killing: null, cancelTimeout: null };
    const one: LiveProcess = { ...base, ...known, plan, dir, tail, gone, setGone };
    live.set(plan.run, one);
    return one;
  }

  /** The one loop that looks at what no event tells: markers of the wrapper, growing output, adopted processes. */
  function look(): void {
    cancelLook = null;
    for (const one of live.values()) {
      if (one.phase === 'released') noteStart(one);
      if (one.phase !== 'started') continue;
      const bytes = one.tail.poll();
      if (bytes > 0) events.emit({ type: 'run.output', run: one.plan.run, bytes });
      if (one.child === null && (one.pid === null || !isOf(one.plan.run, one.pid))) wrapperGone(one);
    }
    arrange();
  }

  function arrange(): void {
    if (cancelLook === null && !stopped && live.size > 0) cancelLook = clock.after(lookEveryMs, look);
  }

  function noteStart(one: LiveProcess): void {
    const started = one.dir.started();
    if (started === null || started.pid === 0) return;
    // The kernel stamps files by a coarse clock that is up to 4 ms behind: never before the release.
    begin(one, Math.max(started.at, one.releasedAt), started.pid);
    see.started(one.plan.run, one.startedAt ?? started.at);
  }

  function begin(one: LiveProcess, at: number, pid: number): void {
    one.phase = 'started';
    one.startedAt = at;
    one.pid = pid;
    const { timeout } = one.plan.job;
    if (timeout === null) return;
    const restMs = Math.max(0, at + durationMs(timeout) - clock.now());
    one.cancelTimeout = clock.after(
      restMs,
      () => void end(one, 'timed_out', one.plan.job.killSignal, durationMs(one.plan.job.killGrace)),
    );
  }

  function end(
    one: LiveProcess,
    why: 'killed' | 'timed_out',
    signal: string,
    graceMs: number,
  ): Promise<Omit<KillReport, 'started'>> {
    one.ending ??= why;
    one.killing ??= climb(
      one.plan.run,
      one.pid,
      { signal: `SIG${signal}` as NodeJS.Signals, graceMs },
      { clock, cgroups, inCgroup: one.inCgroup },
    );
    return one.killing;
  }

  function wrapperGone(one: LiveProcess): void {
    if (one.phase === 'released') noteStart(one);
    one.setGone();
    void conclude(one);
  }

  async function conclude(one: LiveProcess): Promise<void> {
    if (one.phase === 'ended' || stopped) return;
    const wasArmed = one.phase === 'armed';
    const { ending } = one;
    one.cancelTimeout?.();
    // A killed run has ended when nothing of it lives: what it still writes while it is being killed belongs to it.
    if (ending !== null) await one.killing;
    const result = endOf(one, clock.now());
    one.phase = 'ended';
    live.delete(one.plan.run);
    if (wasArmed && one.dir.claimed() === null) return one.dir.remove();
    see.ended(one.plan.run, result);
  }

  function gateOf(gate: string): Promise<GatePipe> {
    let pipe = gates.get(gate);
    if (pipe === undefined) {
      pipe = GatePipe.open(gatesDir, gate, ids.id());
      gates.set(gate, pipe);
    }
    return pipe;
  }

  /** Leaves nothing behind when it throws. */
  function armOne(plan: RunPlan, pipe: GatePipe): void {
    const dir = new RunDir(runsDir, plan.run);
    const command = commandOf(plan, { env: options.env });
    const opened: number[] = [];
    const open = (path: string, flags: number): number => {
      const fd = openSync(path, flags, 0o600);
      opened.push(fd);
      return fd;
    };
    try {
      dir.create(plan);
      const output = open(dir.file('output'), constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND);
      const stdin = open(plan.job.stdin === null ? '/dev/null' : dir.file('stdin'), constants.O_RDONLY);
      const group = cgroups.create(plan.run);
      const args = ['-c', wrapperText, 'cronfleet', dir.path, pipe.goFile, group, ...command.argv];
      const child = spawn('/bin/sh', args, {
        cwd: command.cwd,
        env: command.env,
        detached: true,
        stdio: [stdin, output, output, pipe.readEnd],
      });
      // spawn tells some failures only by this event; a listener must stand before it comes.
      child.on('error', () => {});
      if (child.pid === undefined)
        throw new Refusal('spawn_failed', 'the host has no room for another process');
      const one = track(plan, dir, { child, pid: child.pid, inCgroup: group !== '', phase: 'armed' });
      child.on('exit', () => wrapperGone(one));
    } catch (error) {
      dir.remove();
      cgroups.remove(plan.run);
      throw error;
    } finally {
      for (const fd of opened) closeSync(fd);
    }
  }

  function refusalOf(error: unknown): { code: string; reason: string } {
    if (error instanceof Refusal) return { code: error.code, reason: error.message };
    if (isCode(error, 'ENOSPC', 'EDQUOT')) {
      events.emit({ type: 'disk.full', path: runsDir, error });
      return { code: 'disk_full', reason: `no room on the disk of ${runsDir}` };
    }
    if (isCode(error, 'EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM', 'E2BIG'))
      return {
        code: 'spawn_failed',
        reason: `the host could not start another process: ${error instanceof Error ? error.message : ''}`,
      };
    throw error;
  }

  function find(name: string): FoundRun | null {
    const dir = new RunDir(runsDir, name);
    const plan = dir.plan();
    if (plan === null || plan.run !== name) {
      const setAside = dir.setAside();
      events.emit({
        type: 'spool.damaged',
        file: dir.file('run.json'),
        problem: 'is not a run that this agent wrote',
        setAside,
      });
      return null;
    }
    const claim = dir.claimed();
    const base = {
      plan,
      fence: claim?.fence ?? null,
      claimedAt: claim?.claimedAt ?? null,
      startedAt: null,
      end: null,
    };
    // Whoever makes `started` first has decided: after this, what has not started never will.
    if (dir.bar()) return { ...base, phase: claim === null ? 'armed' : 'claimed' };
    const started = dir.started();
    const one = track(plan, dir, {
      child: null,
      pid: started?.pid ?? null,
      inCgroup: cgroups.available,
      phase: 'released',
    });
    begin(one, started?.at ?? clock.now(), started?.pid ?? 0);
    if (one.pid !== null && isOf(plan.run, one.pid))
      return { ...base, startedAt: one.startedAt, phase: 'running' };
    one.cancelTimeout?.();
    live.delete(plan.run);
    return { ...base, startedAt: one.startedAt, phase: 'ended', end: endOf(one, clock.now()) };
  }

  async function disarm(run: RunId): Promise<boolean> {
    const one = live.get(run);
    if (one === undefined) return false;
    if (one.phase === 'started' || !one.dir.bar()) return false;
    one.phase = 'ended';
    live.delete(run);
    one.child?.kill('SIGKILL');
    await one.gone;
    one.tail.close();
    cgroups.remove(run);
    one.dir.remove();
    closeUnused(one.plan.gate);
    return true;
  }

  return {
    async adopt(handlers) {
      see = handlers;
      for (const dir of [root, runsDir, gatesDir]) mkdirSync(dir, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(gatesDir)) rmSync(join(gatesDir, name), { force: true });
      const found = readdirSync(runsDir).flatMap((name) => find(name) ?? []);
      arrange();
      return found;
    },

    async arm(plans) {
      const results: Awaited<ReturnType<Runner['arm']>> = new Map();
      let slice = clock.boot();
      for (const plan of plans) {
        try {
          armOne(plan, await gateOf(plan.gate));
          results.set(plan.run, null);
        } catch (error) {
          results.set(plan.run, refusalOf(error));
        }
        if (clock.boot() - slice < sliceMs) continue;
        await turn();
        slice = clock.boot();
      }
      arrange();
      return results;
    },

    async markClaimed(run, claim) {
      const one = live.get(run);
      if (one?.phase === 'armed') one.dir.claim(claim);
    },

    async release(gate, deadlineBootMs) {
      const opening = gates.get(gate);
      if (opening === undefined) return;
      gates.delete(gate);
      const pipe = await opening;
      const now = clock.now();
      for (const one of live.values()) {
        if (one.phase !== 'armed' || one.plan.gate !== gate) continue;
        one.phase = 'released';
        one.releasedAt = now;
      }
      pipe.release(deadlineBootMs);
      clock.after(goStaysMs, () => pipe.forget());
      arrange();
    },

    disarm,

    async kill(run, { signal, graceMs }) {
      if (live.get(run)?.phase === 'armed') await disarm(run);
      const one = live.get(run);
      if (one !== undefined) return { ...(await end(one, 'killed', signal, graceMs)), started: true };
      // An agent killed in the middle of a ladder leaves what the wrapper's end does not show: it is looked for by its tag.
      const how = { signal: `SIG${signal}` as NodeJS.Signals, graceMs };
      const report = await climb(run, null, how, { clock, cgroups, inCgroup: cgroups.available });
      return { ...report, started: false };
    },

    async forget(run) {
      const one = live.get(run);
      one?.tail.close();
      live.delete(run);
      cgroups.remove(run);
      new RunDir(runsDir, run).remove();
    },

    count: () => live.size,

    async stop() {
      stopped = true;
      cancelLook?.();
      for (const pipe of gates.values()) (await pipe).close();
      for (const one of live.values()) {
        one.cancelTimeout?.();
        if (one.phase === 'started') one.tail.poll();
        one.tail.close();
        one.child?.unref();
      }
    },
  };

  /** A gate that nobody waits at any more. */
  function closeUnused(gate: string): void {
    for (const one of live.values()) if (one.plan.gate === gate) return;
    const opening = gates.get(gate);
    gates.delete(gate);
    void opening?.then((pipe) => pipe.close());
  }
}
