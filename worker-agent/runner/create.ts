import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { durationMs } from '#core/model/duration.ts';
import type { RunId } from '#core/model/ids.ts';
import { Refusal } from '#core/model/refusal.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { Ids } from '#core/ports/ids.ts';
import { bootId } from '../host-facts.ts';
import type { Ledger } from '../ledger.ts';
import type { FoundRun, KillReport, RunEnd, Runner, RunnerEvents, RunPlan } from '../runner.ts';
import { createAccounts, self as whoWeAre } from './accounts.ts';
import { startWrapper } from './arming.ts';
import { bar } from './bar.ts';
import { findCgroups } from './cgroup.ts';
import { commandOf, switches } from './command.ts';
import { armRefusal, isDiskFull, isShort } from './faults.ts';
import { findRun, openOutput, type Remains } from './found.ts';
import { Gates } from './gates.ts';
import { climb } from './kill-ladder.ts';
import { endOf, isLost, type LiveProcess } from './live-process.ts';
import { OutputTail } from './output-tail.ts';
import { agentMark, createProcesses, isStopped } from './processes.ts';
import { type Ending, RunDir } from './run-dir.ts';
import { SpareDirs } from './spare-dirs.ts';
import { createWardenKeeper } from './warden-keeper.ts';
import { createWatch } from './watch.ts';

/** Arming and adopting leave the event loop free at least this often. */
const sliceMs = 10;
/**
 * From this many on starts go first: nothing is looked at for a moment, and ends wait until all of a gate's runs have started, for so long a
 * run at most, as two processors start some thousand a second.
 */
const burstRuns = 10;
const hushMs = 80;
const burstPerRunMs = 20;
const longestBurstMs = 1_000;
/** Until what the host was short of is asked for again. */
const shortMs = 250;

export interface RunnerOptions {
  /** Holds runs/, spare/, gates/ and damaged/; nobody else may use those. */
  dir: string;
  clock: Clock;
  ids: Ids;
  ledger: Pick<Ledger, 'output'>;
  events: Events;
  /** The agent's environment, of which commands see an allow-list. */
  env: Record<string, string | undefined>;
  platform: string;
  /** How this very program is started, for the warden. */
  program: readonly string[];
  /** Without it: a cgroup for each run where this host lets us have them. */
  cgroups?: 'none';
}

/** Starts and watches this host's runs as processes. Refusal `platform_unsupported` elsewhere than on Linux. */
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
  const boot = bootId();
  const self = whoWeAre();
  const accounts = createAccounts(clock);
  const cgroups = findCgroups(options.cgroups === 'none' ? null : root);
  const gates = new Gates(gatesDir, clock, ids);
  const spares = new SpareDirs(join(root, 'spare'));
  const stopping = new AbortController();
  const warden = createWardenKeeper({
    ...{ root, clock, program: options.program },
    diskFull: (error) => events.emit({ type: 'disk.full', path: root, error }),
  });
  let mark = '';
  const processes = createProcesses(clock, () => mark);
  const ladder = { clock, cgroups, processes, stop: stopping.signal };
  const live = new Map<RunId, LiveProcess>();
  const unarming = new Map<RunId, Promise<boolean>>();
  /** Ended, their wrappers seen to be gone, and not forgotten yet. */
  const over = new Set<RunId>();
  let see: RunnerEvents = { started() {}, ended() {} };
  /** Ends that wait until a burst has started, and until when (boot time) at most. */
  const held: LiveProcess[] = [];
  let burstUntil = 0;
  /** When the event loop was last given its turn (boot time). */
  let slice = clock.boot();
  const watch = createWatch(
    live,
    { clock, events, processes },
    { released: noteStart, gone: wrapperGone, looked },
  );

  function track(
    plan: RunPlan,
    known: Pick<LiveProcess, 'dir' | 'child' | 'pid' | 'pipe' | 'phase'>,
    output: number | null,
  ): LiveProcess {
    const expireAt = clock.now() + durationMs(plan.job.retention);
    const { promise: gone, resolve: setGone } = Promise.withResolvers<void>();
    const tail = new OutputTail(known.dir, output, plan.job.output.max, (offset, data) =>
      ledger.output(plan.run, offset, data, expireAt),
    );
    const nothing = { startedAt: null, exited: null, ending: null, killing: null, cancelTimeout: null };
    const one: LiveProcess = { ...nothing, ...known, plan, tail, releasedAt: 0, quiet: 0, gone, setGone };
    live.set(plan.run, one);
    watch.arrange();
    return one;
  }

  function noteStart(one: LiveProcess): void {
    const at = one.dir.startedAt();
    if (at === null || one.phase !== 'released') return;
    // The kernel stamps files by a coarse clock, which is some milliseconds behind: never before the release.
    begin(one, Math.max(at, one.releasedAt));
    see.started(one.plan.run, one.startedAt ?? at);
  }

  function begin(one: LiveProcess, at: number): void {
    one.phase = 'started';
    one.startedAt = at;
    const { timeout } = one.plan.job;
    if (timeout === null) return;
    const restMs = Math.max(0, at + durationMs(timeout) - clock.now());
    one.cancelTimeout = clock.after(restMs, () => timeUp(one));
  }

  /** An agent that was stopped or busy, or lets a burst start, hears of the time before it hears of an end that was in time. */
  function timeUp(one: LiveProcess): void {
    if (one.exited === null && one.dir.exit() === null) endByJob(one, 'timed_out');
  }

  function endByJob(one: LiveProcess, why: Ending): void {
    const { killSignal, killGrace } = one.plan.job;
    void end(one, why, killSignal, durationMs(killGrace));
  }

  function end(
    one: LiveProcess,
    why: Ending,
    name: string,
    graceMs: number,
  ): Promise<Omit<KillReport, 'started'>> {
    if (one.ending === null) noteEnding(one, why);
    one.ending ??= why;
    one.killing ??= climb(one.plan.run, one.pid, { signal: `SIG${name}` as NodeJS.Signals, graceMs }, ladder);
    return one.killing;
  }

  function noteEnding(one: LiveProcess, why: Ending): void {
    try {
      one.dir.keepEnding(why);
    } catch (error) {
      // A kill does not wait for room on the disk: only an agent that dies before the run could have used the note.
      if (!isDiskFull(error) && !isShort(error)) throw error;
      events.emit({ type: 'disk.full', path: one.dir.path, error });
    }
  }

  function wrapperGone(one: LiveProcess): void {
    one.setGone();
    // One that ended while armed has its end told at the release, as all of its gate.
    if (one.phase === 'armed' || stopping.signal.aborted) return;
    if (clock.boot() < burstUntil) held.push(one);
    else void conclude(one);
  }

  function looked(): void {
    if (clock.boot() < burstUntil) for (const one of live.values()) if (one.phase === 'released') return;
    burstUntil = 0;
    for (const one of held.splice(0)) void conclude(one);
  }

  async function conclude(one: LiveProcess): Promise<void> {
    noteStart(one);
    if (one.phase === 'ended') return;
    one.phase = 'ended';
    one.cancelTimeout?.();
    if (one.plan.job.onLeaseLoss === 'kill') one.ending ??= one.dir.ending();
    // A killed run has ended when nothing of it lives: what it still writes while it is being killed belongs to it.
    if (one.ending === null && isLost(one)) {
      // Somebody shot the wrapper alone: the command would live on, unseen, beside the next run.
      const { killSignal, killGrace } = one.plan.job;
      const how = { signal: `SIG${killSignal}` as NodeJS.Signals, graceMs: durationMs(killGrace) };
      one.killing ??= climb(one.plan.run, one.pid, how, ladder);
    }
    const killed = await one.killing;
    const result = await surelyEnd(one, killed?.signalledAt ?? 0);
    if (stopping.signal.aborted) return;
    live.delete(one.plan.run);
    if (one.exited !== null) over.add(one.plan.run);
    see.ended(one.plan.run, result);
  }

  async function surelyEnd(one: LiveProcess, livedAt: number): Promise<RunEnd> {
    for (;;) {
      try {
        return await endOf(one, clock.now(), livedAt);
      } catch (error) {
        // Out of open files, say: its end stands in its directory and can be read in a moment.
        if (!isShort(error)) throw error;
        await sleep(clock, shortMs, stopping.signal);
      }
    }
  }

  async function armOne(plan: RunPlan): Promise<void> {
    if (live.has(plan.run)) throw new Error(`${plan.run} is armed or alive already`);
    const account = switches(plan, self) ? await accounts.of(plan.job.user ?? '') : null;
    const command = commandOf(plan, account, { env: options.env, self, mark });
    const pipe = await gates.enter(plan.gate);
    try {
      if (plan.job.onLeaseLoss === 'kill') warden.take(plan.run);
      const dir = new RunDir(runsDir, plan.run);
      const { child, pid, output } = await startWrapper(plan, command, { dir, pipe, cgroups, spares, boot });
      const one = track(plan, { dir, child, pid, pipe, phase: 'armed' }, output);
      child.on('exit', (code, name) => {
        one.exited = { code, signal: name };
        wrapperGone(one);
      });
    } catch (error) {
      warden.leave(plan.run);
      gates.leave(plan.gate, pipe);
      throw error;
    }
  }

  /**
   * Whether a wrapper that was let go has not started yet; it is stopped then. It stands still while its marker is looked at, since killed in
   * the very moment of its start it would take the command's status with it.
   */
  async function caught({ child, pid, dir }: LiveProcess): Promise<boolean> {
    if (child === null || pid === null || dir.startedAt() !== null) return false;
    child.kill('SIGSTOP');
    while (child.exitCode === null && child.signalCode === null && !isStopped(pid)) await turn();
    if (dir.startedAt() === null) return true;
    child.kill('SIGCONT');
    return false;
  }

  /** Ends a wrapper that has not started its command, for good; false: too late. */
  async function barOwn(one: LiveProcess): Promise<boolean> {
    if (one.phase === 'released' && !(await caught(one))) return false;
    if (one.phase === 'started' || one.phase === 'ended') return false;
    one.child?.kill('SIGKILL');
    await one.gone;
    return true;
  }

  function disarm(run: RunId): Promise<boolean> {
    const done = unarm(run).finally(() => {
      if (unarming.get(run) === done) unarming.delete(run);
    });
    unarming.set(run, done);
    return done;
  }

  async function unarm(run: RunId): Promise<boolean> {
    const one = live.get(run);
    // Being killed it is told of as ended, and nobody else may take it away before.
    if (one === undefined || one.ending !== null) return false;
    // One that stands armed is not looked at: nothing may come between this and its end.
    if (one.phase === 'released' && !(await caught(one))) return false;
    const { phase } = one;
    if (phase === 'started' || phase === 'ended') return false;
    one.phase = 'ended';
    one.child?.kill('SIGKILL');
    await one.gone;
    live.delete(run);
    warden.leave(run);
    one.tail.close();
    cgroups.remove(run);
    spares.give(one.dir.path);
    if (phase === 'armed' && one.pipe !== null) gates.leave(one.plan.gate, one.pipe);
    return true;
  }

  /** Takes up a directory of an earlier life: what lives is watched from now on. */
  async function takeUp({ plan, dir, found, pid }: Remains): Promise<FoundRun> {
    if (found.phase === 'armed' || found.phase === 'claimed') return { ...found, end: null };
    const one = track(plan, { dir, child: null, pid, pipe: null, phase: 'released' }, openOutput(dir));
    one.ending = dir.ending();
    if (found.phase === 'running') {
      begin(one, found.startedAt ?? clock.now());
      // The warden may not have come to the end of it.
      if (one.ending === 'cut_off') endByJob(one, 'cut_off');
      return { ...found, startedAt: one.startedAt, end: null };
    }
    live.delete(plan.run);
    one.phase = 'ended';
    // It may have started though no marker says so: the claim is then the last that is known of it.
    one.startedAt = found.startedAt ?? found.claimedAt ?? 0;
    const result = await endOf(one, clock.now());
    return { ...found, end: { ...result, startedAt: found.startedAt } };
  }

  return {
    async adopt(handlers) {
      see = handlers;
      for (const dir of [root, runsDir, gatesDir]) mkdirSync(dir, { recursive: true, mode: 0o700 });
      mark = agentMark(runsDir);
      for (const name of readdirSync(gatesDir)) rmSync(join(gatesDir, name), { force: true });
      spares.open();
      cgroups.tidy();
      const names = readdirSync(runsDir);
      if (names.length === 0) {
        warden.adopt([]);
        return [];
      }
      const host = { boot, events, processes, seen: await processes.list() };
      // What has not started never will. A wrapper of it ends by itself as soon as it is woken; but it may be asleep.
      for (const run of names) {
        const dir = new RunDir(runsDir, run);
        if (dir.startedAt() === null) await bar(dir, run, host.seen, processes);
      }
      const all: Remains[] = [];
      await sliced(names, (name) => {
        const remains = findRun(runsDir, name, host);
        if (remains !== null) all.push(remains);
      });
      const found: FoundRun[] = [];
      await sliced(all, async (remains) => found.push(await takeUp(remains)));
      const wards = [...live.values()].filter(({ plan }) => plan.job.onLeaseLoss === 'kill');
      warden.adopt(wards.map(({ plan }) => plan.run));
      return found;
    },

    lookUp: (user) => (user === null || user === self.name ? null : accounts.lookUp(user)),

    async arm(plans) {
      const results: Awaited<ReturnType<Runner['arm']>> = new Map();
      await sliced(plans, async (plan) => {
        try {
          await armOne(plan);
          results.set(plan.run, null);
        } catch (error) {
          if (isDiskFull(error)) events.emit({ type: 'disk.full', path: runsDir, error });
          results.set(plan.run, armRefusal(error, runsDir));
        }
      });
      return results;
    },

    async markClaimed(run, claim) {
      const one = live.get(run);
      if (one?.phase !== 'armed') return;
      try {
        one.dir.claim(claim);
      } catch (error) {
        // Without its marker it ends as not_started, and is armed anew: that then says what is missing.
        if (!isDiskFull(error) && !isShort(error)) throw error;
        events.emit({ type: 'disk.full', path: one.dir.path, error });
      }
    },

    async release(name, deadlineBootMs) {
      const pipe = await gates.take(name);
      if (pipe === null) return;
      const now = clock.now();
      const released = [...live.values()].filter((one) => one.phase === 'armed' && one.pipe === pipe);
      for (const one of released) {
        one.phase = 'released';
        one.releasedAt = now;
      }
      if (released.length >= burstRuns) {
        burstUntil = clock.boot() + Math.min(released.length * burstPerRunMs, longestBurstMs);
        watch.hush(hushMs);
      }
      try {
        pipe.release(deadlineBootMs);
      } catch (error) {
        // Nobody has been let go: each ends as not_started.
        if (!isDiskFull(error) && !isShort(error)) throw error;
        events.emit({ type: 'disk.full', path: gatesDir, error });
      }
      gates.forgetLater(pipe);
      for (const one of released) if (one.exited !== null) wrapperGone(one);
    },

    disarm,

    async kill(run, { signal: name, graceMs }) {
      // What is being un-armed tells of no end: there is nothing of it to be killed afterwards.
      while (unarming.has(run)) await unarming.get(run);
      if (live.get(run)?.phase === 'armed') await disarm(run);
      const one = live.get(run);
      if (one?.phase === 'released') {
        // Its `ended` tells of the kill, though the wrapper has started nothing.
        one.ending = 'killed';
        await barOwn(one);
      }
      if (one !== undefined) return { ...(await end(one, 'killed', name, graceMs)), started: true };
      // An agent killed in the middle of a ladder leaves what the wrapper's end does not show: it is looked for by its tag.
      const certain = cgroups.has(run) || !new RunDir(runsDir, run).exists();
      const how = { signal: `SIG${name}` as NodeJS.Signals, graceMs };
      return { ...(await climb(run, null, how, ladder)), certain, started: false };
    },

    async forget(run) {
      const one = live.get(run);
      one?.tail.close();
      live.delete(run);
      warden.leave(run);
      cgroups.remove(run);
      const dir = new RunDir(runsDir, run);
      // The wrapper of an adopted run is not our child: it may be about to write yet.
      if (over.delete(run)) spares.give(dir.path);
      else dir.remove();
    },

    lease: warden.lease,

    count: () => live.size,

    async stop() {
      watch.stop();
      stopping.abort();
      await gates.close();
      for (const one of live.values()) {
        if (one.phase === 'armed' && one.child?.kill('SIGKILL')) await one.gone;
        one.cancelTimeout?.();
        one.tail.close();
        one.child?.unref();
      }
      cgroups.tidy();
      await warden.stop();
    },
  };

  /** Does it for all, one after the other, and lets the event loop go on in between: also where many calls bring one each. */
  async function sliced<T>(items: readonly T[], act: (item: T) => unknown): Promise<void> {
    for (const item of items) {
      await act(item);
      if (clock.boot() - slice < sliceMs) continue;
      await turn();
      slice = clock.boot();
    }
  }
}
