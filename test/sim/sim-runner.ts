import type { Ending } from '#agent/runner/run-dir.ts';
import type { FoundRun, KillReport, RunEnd, Runner, RunnerEvents, RunPlan } from '#agent/runner.ts';
import { durationMs } from '#core/model/duration.ts';
import type { RunId } from '#core/model/ids.ts';
import type { Life, Process, RunFiles, Stamp } from './host.ts';

/** Remedies that a test takes out to see that something notices. */
export interface RunnerMistakes {
  /** The wrapper does not compare the lease's deadline. */
  ignoresDeadline?: boolean;
  /** The wrapper starts without its own `claimed` marker. */
  ignoresMarker?: boolean;
  /** Un-arming comes too late: the wrapper stays blocked on its gate. */
  keepsArmed?: boolean;
  /** Neither agent nor wrapper sees that the host slept. */
  blindToSleep?: boolean;
  /** The pipe's end alone starts the command: no `go` is needed. */
  ignoresGo?: boolean;
  /** Nobody ends what must not run without the lease. */
  noWarden?: boolean;
}

/** What a command of the simulation does: `sim FROM-TO CODE [stubborn]`: runs FROM to TO ms, ends with CODE. */
const commandShape = /^sim (\d+)-(\d+) (\d+)( stubborn)?$/;

const wardenLookMs = 500;
/** So long a name service is waited for (worker-agent/runner/accounts.ts). */
const longestLookUpMs = 5_000;

interface Watched {
  plan: RunPlan;
  phase: 'armed' | 'released' | 'started' | 'ended';
  ending: Ending | null;
  killing: Promise<Omit<KillReport, 'started'>> | null;
  cancelTimeout: (() => void) | null;
}

interface Go {
  deadlineBoot: number;
  wall: number;
}

/**
 * The Runner of one agent's life over a host's simulated processes. It judges marker, `go` and deadline as the wrapper does;
 * its processes outlive it, as real ones do.
 */
export function simRunner(life: Life, stamps: Stamp[], mistakes: RunnerMistakes = {}): Runner {
  const { host } = life;
  const { chance } = host;
  const watched = new Map<RunId, Watched>();
  const gates = new Map<string, Set<RunId>>();
  /** The `go` files that this life has written. */
  const gos = new Map<string, Go>();
  /** Users about whom the name service has been asked, and what came of it. */
  const lookUps = new Map<string, Promise<void> | 'known' | 'silent'>();
  let see: RunnerEvents = { started() {}, ended() {} };
  let stopped = false;
  life.onEnd(pipesEnd);

  function note(run: RunId, fn: (one: Watched, files: RunFiles) => void): void {
    life.deliver(() => {
      const one = watched.get(run);
      const files = host.files.get(run);
      if (!stopped && one !== undefined && files !== undefined) fn(one, files);
    });
  }

  function watch(plan: RunPlan, phase: Watched['phase']): Watched {
    const one: Watched = { plan, phase, ending: null, killing: null, cancelTimeout: null };
    watched.set(plan.run, one);
    return one;
  }

  /** The agent is gone, or stops: its pipes end, and blocked wrappers wake, mostly without a go. */
  function pipesEnd(): void {
    for (const [gate, runs] of gates) for (const run of runs) wakeSoon(run, gos.get(gate) ?? null);
    gates.clear();
  }

  function wakeSoon(run: RunId, go: Go | null): void {
    const process = host.processes.get(run);
    if (process?.state === 'blocked') host.after(chance.between(0, 12), () => wake(process, go));
  }

  /** What a wrapper reads as the time since boot. */
  const uptime = () => (mistakes.blindToSleep ? host.boot() - host.slept : host.boot());

  /** The wrapper's own judgement. */
  function wake(process: Process, go: Go | null): void {
    if (host.processes.get(process.run) !== process) return;
    const files = host.files.get(process.run);
    const marked = files !== undefined && (mistakes.ignoresMarker || files.claimed !== null);
    const released = mistakes.ignoresGo ? (go ?? { deadlineBoot: Infinity, wall: host.now() }) : go;
    const inTime = released !== null && (mistakes.ignoresDeadline || uptime() < released.deadlineBoot);
    if (files === undefined || !marked || !inTime || files.started !== null) gone(process);
    else {
      files.started = host.now();
      begin(process, files, released);
    }
  }

  function begin(process: Process, files: RunFiles, go: Go): void {
    const { plan } = files;
    const [, from = '100', to = '100', code = '0', stubborn] =
      commandShape.exec(plan.job.command ?? '') ?? [];
    const stamp: Stamp = {
      run: plan.run,
      host: host.id,
      plan,
      fence: files.claimed?.fence ?? '0',
      start: host.world.time,
      goWall: go.wall,
      timeKnown: host.timeKnown,
      end: null,
      endedBy: null,
      code: null,
      signalled: null,
    };
    stamps.push(stamp);
    process.state = 'running';
    process.stamp = stamp;
    const close = (by: 'exit' | 'signal' | 'power', status: number | null) => {
      cancel();
      stamp.end = host.world.time;
      stamp.endedBy = by;
      stamp.code = status;
      if (status !== null) files.exit = { code: status, at: host.now() };
      gone(process);
    };
    const cancel = host.after(chance.between(Number(from), Number(to)), () => close('exit', Number(code)));
    process.die = (by) => close(by, null);
    if (plan.job.onLeaseLoss === 'kill' && !mistakes.noWarden) guardByWarden(process, files);
    process.term = (why) => {
      stamp.signalled = why;
      if (stubborn === undefined)
        host.after(chance.between(0, 100), () => stamp.end === null && close('signal', 143));
    };
    host.after(chance.between(0, 50), () =>
      note(plan.run, (one) => {
        if (one.phase === 'released') started(one, files);
      }),
    );
  }

  /** The host's warden, which outlives agents, looks at the lease's deadline twice a second. */
  function guardByWarden(process: Process, files: RunFiles): void {
    const lives = () => host.processes.get(process.run) === process;
    const look = () => {
      if (!lives()) return;
      if (host.boot() < host.leaseDeadline) return void host.after(wardenLookMs, look);
      if (!host.diskFull) files.ending ??= 'cut_off';
      process.term('cut_off');
      host.after(durationMs(files.plan.job.killGrace), () => lives() && process.die('signal'));
    };
    host.after(wardenLookMs, look);
  }

  function started(one: Watched, files: RunFiles): void {
    if (typeof files.started !== 'number') return;
    arrangeTimeout(one, files.started);
    see.started(one.plan.run, files.started);
  }

  function arrangeTimeout(one: Watched, startedAt: number): void {
    one.phase = 'started';
    const { timeout, killGrace, killSignal } = one.plan.job;
    if (timeout === null) return;
    const rest = Math.max(0, startedAt + durationMs(timeout) - host.now());
    one.cancelTimeout = life.clock.after(rest, () => {
      void end(one, 'timed_out', killSignal, durationMs(killGrace));
    });
  }

  function gone(process: Process): void {
    host.processes.delete(process.run);
    for (const tell of process.gone) tell();
  }

  /** This life takes notice of a wrapper's end. */
  function concludeSoon(one: Watched): void {
    host.after(chance.between(0, 50), () => note(one.plan.run, () => void conclude(one)));
  }

  async function conclude(one: Watched): Promise<void> {
    if (one.phase === 'ended' || stopped) return;
    const files = host.files.get(one.plan.run);
    if (files === undefined) return;
    const wasArmed = one.phase === 'armed';
    if (one.phase === 'released') started(one, files);
    one.cancelTimeout?.();
    one.ending ??= files.ending;
    if (one.ending !== null) await one.killing;
    if (stopped) return;
    const result = endOf(one, files);
    one.phase = 'ended';
    watched.delete(one.plan.run);
    if (wasArmed && files.claimed === null) return void host.files.delete(one.plan.run);
    see.ended(one.plan.run, result);
  }

  function endOf(one: Watched, files: RunFiles): RunEnd {
    const startedAt = typeof files.started === 'number' ? files.started : null;
    const base = { startedAt, reason: '', exitCode: null, signal: null, bytes: 0, droppedBytes: 0, tail: '' };
    if (startedAt === null)
      return {
        ...base,
        how: 'not_started',
        endedAt: host.now(),
        reason: 'its wrapper ended before the command was started',
      };
    const data = Buffer.from(`${one.plan.run}\n`);
    const wrote = { ...base, bytes: data.length, tail: data.toString() };
    const code = files.exit?.code ?? null;
    const endedAt = files.exit?.at ?? host.now();
    if (one.ending !== null) {
      const signalled = code === null || code > 128;
      const signal = code === null ? 'KILL' : signalled ? 'TERM' : null;
      return { ...wrote, how: one.ending, endedAt, exitCode: signalled ? null : code, signal };
    }
    if (files.exit === null) return { ...wrote, how: 'vanished', endedAt: host.now() };
    return { ...wrote, how: 'exited', endedAt, exitCode: code };
  }

  function end(
    one: Watched,
    why: Ending,
    signal: string,
    graceMs: number,
  ): Promise<Omit<KillReport, 'started'>> {
    one.ending ??= why;
    const files = host.files.get(one.plan.run);
    if (files !== undefined && !host.diskFull) files.ending ??= one.ending;
    one.killing ??= climb(one.plan.run, one.ending, signal, graceMs);
    return one.killing;
  }

  async function climb(
    run: RunId,
    why: Ending,
    signal: string,
    graceMs: number,
  ): Promise<Omit<KillReport, 'started'>> {
    const signalledAt = host.now();
    const process = host.processes.get(run);
    if (process?.state === 'blocked') process.die('signal');
    else if (process !== undefined) {
      const ended = new Promise<void>((resolve) => process.gone.add(() => life.deliver(resolve)));
      process.term(why);
      if (signal === 'KILL') process.die('signal');
      await Promise.race([ended, life.delay(graceMs)]);
      if (host.processes.get(run) === process) process.die('signal');
    }
    await life.delay(chance.between(0, 20));
    return { signalledAt, confirmedAt: host.now(), certain: true };
  }

  function find(files: RunFiles): FoundRun {
    const { plan, claimed } = files;
    const { run } = plan;
    const base = {
      plan,
      fence: claimed?.fence ?? null,
      claimedAt: claimed?.claimedAt ?? null,
      startedAt: null,
      end: null,
    };
    files.started ??= 'barred';
    if (files.started === 'barred') return { ...base, phase: claimed === null ? 'armed' : 'claimed' };
    const one = watch(plan, 'released');
    one.ending = files.ending;
    const process = host.processes.get(run);
    if (process !== undefined) {
      arrangeTimeout(one, files.started);
      process.gone.add(() => concludeSoon(one));
      return { ...base, startedAt: files.started, phase: 'running' };
    }
    watched.delete(run);
    return { ...base, startedAt: files.started, phase: 'ended', end: endOf(one, files) };
  }

  async function disarm(run: RunId): Promise<boolean> {
    life.step();
    const one = watched.get(run);
    const files = host.files.get(run);
    if (life.dead || one === undefined || files === undefined) return false;
    if (one.phase === 'started' || files.started !== null) return false;
    watched.delete(run);
    if (mistakes.keepsArmed) return true;
    files.started = 'barred';
    one.phase = 'ended';
    host.processes.get(run)?.die('signal');
    host.files.delete(run);
    await life.delay(chance.between(0, 3));
    return true;
  }

  async function look(user: string, takes: number): Promise<void> {
    await life.delay(Math.min(takes, longestLookUpMs));
    lookUps.set(user, takes < longestLookUpMs ? 'known' : 'silent');
  }

  function lookUp(user: string | null): Promise<void> | null {
    if (user === null || host.lookUpMs === null) return null;
    const there = lookUps.get(user) ?? look(user, host.lookUpMs);
    if (typeof there === 'string') return null;
    lookUps.set(user, there);
    return there;
  }

  return {
    async adopt(handlers) {
      see = handlers;
      await life.delay(chance.between(0, 5));
      life.step();
      return life.dead ? [] : [...host.files.values()].map(find);
    },

    lookUp,

    async arm(plans) {
      const results: Awaited<ReturnType<Runner['arm']>> = new Map();
      for (const plan of plans) {
        await life.delay(host.armingTakes());
        life.step();
        if (life.dead) break;
        await lookUp(plan.job.user);
        if (lookUps.get(plan.job.user ?? '') === 'silent') {
          results.set(plan.run, { code: 'user_unknown', reason: 'the name service did not answer' });
          continue;
        }
        if (life.dead) break;
        if (host.diskFull) {
          results.set(plan.run, { code: 'disk_full', reason: 'no room on the disk' });
          continue;
        }
        host.files.set(plan.run, {
          ...{ plan, claimed: null, started: null, exit: null, ending: null },
          madeAt: host.world.time,
        });
        const process: Process = {
          run: plan.run,
          state: 'blocked',
          stamp: null,
          gone: new Set(),
          die: () => gone(process),
          term: () => gone(process),
        };
        host.processes.set(plan.run, process);
        const one = watch(plan, 'armed');
        process.gone.add(() => concludeSoon(one));
        const gate = gates.get(plan.gate) ?? new Set();
        gates.set(plan.gate, gate);
        gate.add(plan.run);
        results.set(plan.run, null);
      }
      return results;
    },

    async markClaimed(run, claim) {
      life.step();
      if (life.dead) return;
      const files = host.files.get(run);
      if (watched.get(run)?.phase === 'armed' && files !== undefined) files.claimed = claim;
      await life.delay(chance.between(0, 3));
    },

    async release(gate, deadlineBoot) {
      life.step();
      if (life.dead) return;
      const runs = gates.get(gate);
      const go = { deadlineBoot, wall: host.now() };
      gos.set(gate, go);
      // Dead here, its pipes end all the same, and the go is there.
      life.step();
      if (life.dead) return;
      gates.delete(gate);
      for (const run of runs ?? []) {
        const one = watched.get(run);
        if (one?.phase === 'armed') one.phase = 'released';
        wakeSoon(run, go);
      }
      await life.delay(0);
    },

    disarm,

    async kill(run, { signal, graceMs }) {
      if (watched.get(run)?.phase === 'armed') await disarm(run);
      life.step();
      const one = life.dead ? undefined : watched.get(run);
      const at = host.now();
      if (one === undefined) return { started: false, signalledAt: at, confirmedAt: at, certain: true };
      return { ...(await end(one, 'killed', signal, graceMs)), started: true };
    },

    lease(deadlineBootMs) {
      if (!life.dead) host.leaseDeadline = deadlineBootMs;
    },

    async forget(run) {
      life.step();
      if (life.dead) return;
      watched.delete(run);
      host.files.delete(run);
    },

    count: () => watched.size,

    async stop() {
      if (life.dead) return;
      stopped = true;
      pipesEnd();
      for (const one of watched.values()) one.cancelTimeout?.();
    },
  };
}
