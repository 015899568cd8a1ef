import type { Batcher } from '#core/cluster/batch.ts';
import { type Following, finish, settleOwed, signKill } from '#core/cluster/finish.ts';
import { decode, type KillValue, RunningValue } from '#core/cluster/records.ts';
import { judge, nextAttempt } from '#core/decide/outcome.ts';
import { durationMs } from '#core/model/duration.ts';
import { type JobId, parseRunId, type RunId, runId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import { blankRun, lateMs, type Run } from '#core/model/run.ts';
import { sleep } from '#core/ports/clock.ts';
import type { Entry, Revision } from '#core/ports/kv.ts';
import { type AgentDeps, type Guard, times } from './context.ts';
import { createOver } from './over.ts';
import type { RunEnd, RunPlan } from './runner.ts';

/** A run whose key is mine, from its claim to its finish. */
export interface LiveRun {
  run: RunId;
  job: JobId;
  lane: string;
  /** The version that was claimed. */
  spec: Job;
  running: RunningValue;
  /** mod revision of its key as I last put it; null: the key is gone, and only the record is left to be written. */
  mod: Revision | null;
  fence: Revision;
  /** claimed: nothing has started yet. started: the wrapper was released, or adopted alive. */
  phase: 'claimed' | 'started' | 'ending';
  record: Run;
  /** How often its start was tried. */
  starts: number;
  /** Its gate, or a start of its own, has it in hand, or has let it go: nobody else may begin one. */
  inHand: boolean;
  /** Settles when the kill ladder is through with it. */
  killing: Promise<void> | null;
}

/** An attempt that waits for its time, its key mine. */
export interface WaitingRun {
  run: RunId;
  job: JobId;
  lane: string;
  running: RunningValue;
  mod: Revision;
  /** The key's create revision. */
  fence: Revision;
}

export interface RunsEvents {
  /** Something in this lane has ended: whoever waits for it may go on. */
  freed(job: JobId): void;
  /** A next attempt is waiting now. */
  waits(run: WaitingRun): void;
}

function heldBy(entry: Entry): string | null {
  const read = decode(RunningValue, entry);
  return read.ok ? read.value.worker : null;
}

/** Whether an attempt still waits under this key. */
function waits(entry: Entry): boolean {
  const read = decode(RunningValue, entry);
  return read.ok && read.value.state === 'waiting';
}

/** In a long outage of History, beyond this many the spool alone holds what is owed. */
const maxOwed = 10_000;

/** Every run of this agent, and how each of them ends. */
export function createRuns(deps: AgentDeps & { guard: Guard }, finishes: Batcher, see: RunsEvents) {
  const { clock, layout, ledger, runner, events, settings, guard } = deps;
  const live = new Map<RunId, LiveRun>();
  const waiting = new Map<RunId, WaitingRun>();
  const over = createOver(clock);
  const ending = new Set<Promise<void>>();
  let owed = 0;

  function planOf(one: Pick<LiveRun, 'run' | 'spec' | 'running' | 'lane'>, gate: string): RunPlan {
    const { spec, running, run, lane } = one;
    const { workers } = spec.target;
    const shard =
      spec.mode === 'all' && workers.length > 0
        ? { index: workers.indexOf(settings.id), count: workers.length }
        : null;
    return {
      run,
      job: spec,
      lane,
      instant: running.instant,
      attempt: running.attempt,
      trigger: running.trigger,
      env: running.env,
      order: running.order,
      by: running.by,
      losses: running.losses,
      covers: running.covers,
      shard,
      gate,
    };
  }

  /** Takes a run up whose key has become mine. */
  function add(known: Omit<LiveRun, 'phase' | 'record' | 'killing' | 'starts' | 'inHand'>): LiveRun {
    const { run, spec, running } = known;
    const one: LiveRun = {
      ...known,
      phase: 'claimed',
      killing: null,
      starts: 0,
      inHand: false,
      record: blankRun({
        id: run,
        group: spec.group,
        name: spec.name,
        state: 'claimed',
        instant: running.instant,
        attempt: running.attempt,
        trigger: running.trigger,
        worker: settings.id,
        incarnation: running.incarnation,
        plannedAt: running.instant ?? running.notBefore,
        claimedAt: running.at,
        by: running.by,
        fence: known.fence,
        command: spec.command ?? spec.argv?.join(' ') ?? null,
      }),
    };
    live.set(run, one);
    waiting.delete(run);
    return one;
  }

  function started(one: LiveRun, at: number): void {
    if (one.phase !== 'claimed') return;
    one.phase = 'started';
    one.record = { ...one.record, state: 'running', startedAt: at };
    events.emit({ type: 'run.started', run: one.run, at, lateMs: lateMs(one.record) });
    guard('note', note(one.record));
  }

  /** Into the spool if it can be had; the key and, at the end, `owed/` say the same, so a full disk loses nothing. */
  async function note(...records: Run[]): Promise<boolean> {
    try {
      await ledger.record(records);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      events.emit({ type: 'agent.fault', worker: settings.id, where: 'ledger.record', error });
      return false;
    }
  }

  function following(
    one: LiveRun | WaitingRun,
    spec: Job,
    state: Run['state'],
    endedAt: number,
  ): Following | null {
    const { running } = one;
    const next = nextAttempt(spec, { state, attempt: running.attempt, losses: running.losses, endedAt });
    if (next === null) return null;
    return {
      run: runId({ ...parseRunId(one.run), attempt: next.attempt }),
      running: {
        ...running,
        worker: settings.id,
        incarnation: running.incarnation,
        state: 'waiting',
        attempt: next.attempt,
        losses: next.losses,
        notBefore: next.notBefore,
        at: endedAt,
        trigger: 'retry',
        covers: null,
      },
    };
  }

  /** Ends a live run with its terminal record; what follows is as after `follows`. Called again for the same run it does nothing. */
  function end(
    one: LiveRun,
    final: Pick<Run, 'state' | 'reason' | 'endedAt'> & Partial<Run>,
    follows: Run['state'] = final.state,
  ): Promise<void> {
    if (one.phase === 'ending') return Promise.resolve();
    one.phase = 'ending';
    const through = () => {
      const done = conclude(one, final, follows);
      ending.add(done);
      return done.finally(() => ending.delete(done));
    };
    // A stop leaves a kill ladder as it stands, with its promise open: nobody may wait for such an end, the next start finds it.
    return one.killing === null ? through() : one.killing.then(through);
  }

  async function conclude(
    one: LiveRun,
    final: Pick<Run, 'state' | 'reason' | 'endedAt'> & Partial<Run>,
    follows: Run['state'],
  ): Promise<void> {
    const endedAt = final.endedAt ?? clock.now();
    const record: Run = {
      ...one.record,
      ...final,
      endedAt,
      expireAt: endedAt + durationMs(one.spec.retention),
    };
    one.record = record;
    const next = record.kill === null && one.mod !== null ? following(one, one.spec, follows, endedAt) : null;
    await settle(one, record, next);
    over.add(one.run);
    live.delete(one.run);
    // A start that was under way when the end was decided may have armed it since.
    if (record.startedAt === null) await runner.disarm(one.run);
    await runner.forget(one.run);
    events.emit({ type: 'run.ended', run: one.run, record });
    see.freed(one.job);
  }

  /**
   * Spool, History, then the key: a crash between any two repeats what is safe to repeat. What never started goes the other way
   * round, key and record in one: with its record written and its key still there, the next life would start it after all.
   */
  async function settle(
    basis: { job: JobId; lane: string; run: RunId; mod: Revision | null },
    record: Run,
    next: Following | null,
  ): Promise<void> {
    let { mod } = basis;
    const first = mod === null || record.startedAt !== null;
    const spooled = first && (await note(record));
    const acked = spooled && (await ledger.acked(record.id, times.historyWait));
    const owes = !acked && (!spooled || owed < maxOwed);
    while (mod !== null) {
      const piece = finish(
        layout,
        { ...basis, mod },
        { next, owed: owes ? record : null, at: clock.now(), by: settings.id },
      );
      const result = await finishes.submit(piece);
      if (result.outcome !== 'done') return;
      const there = result.succeeded
        ? []
        : result.results.flatMap((seen) => (seen.type === 'range' ? seen.entries : []));
      const at = (run: RunId) => there.find(({ key }) => key === layout.run(basis.job, basis.lane, run));
      const standing = at(basis.run);
      if (standing !== undefined && heldBy(standing) === settings.id) {
        // Adopted under a new incarnation meanwhile: still mine, so end it as it stands now.
        mod = standing.mod;
        continue;
      }
      // Refused, another has the key or had it: whoever ended it has left its record, and so has an earlier try of ours, as owed.
      if (!first && result.succeeded) guard('owe', owe([record]));
      else if (result.succeeded && owes) guard('repay', repay([record]));
      // Refused because an earlier try was applied, the next attempt may have been found, and even claimed, since.
      if (next !== null && !knows(next.run)) {
        const stands = result.succeeded ? { mod: result.revision, create: result.revision } : at(next.run);
        // Its next attempt may be another's who has closed it meanwhile.
        const theirs =
          stands !== undefined && 'value' in stands && (!waits(stands) || heldBy(stands) !== settings.id);
        const key = theirs ? undefined : stands;
        if (key !== undefined)
          wait({ ...next, job: basis.job, lane: basis.lane, mod: key.mod, fence: key.create });
      }
      return;
    }
  }

  /** Whether it lives or waits here, or has ended here a while ago. */
  function knows(run: RunId): boolean {
    return live.has(run) || waiting.has(run) || over.has(run);
  }

  function wait(one: WaitingRun): void {
    waiting.set(one.run, one);
    see.waits(one);
  }

  /** Takes what is owed back out of the store once History has it. */
  async function repay(records: readonly Run[]): Promise<void> {
    owed += records.length;
    for (const record of records) {
      if (await ledger.acked(record.id, Number.POSITIVE_INFINITY))
        await finishes.submit(settleOwed(layout, `${record.group}/${record.name}`, record.id));
      owed -= 1;
    }
  }

  /** Records that a decision has put under owed/ go the same way as a run's. */
  async function owe(records: readonly Run[]): Promise<void> {
    if (records.length > 0 && (await note(...records))) guard('repay', repay(records));
  }

  function ended(one: LiveRun, found: RunEnd): Promise<void> {
    const end_ = byOurLadder(one, found);
    const { state, reason } = judge(one.spec, end_);
    const { endedAt, exitCode, signal, bytes, droppedBytes, tail } = end_;
    const startedAt = end_.startedAt ?? one.record.startedAt;
    const final = { state, reason, endedAt, startedAt, exitCode, signal, bytes, droppedBytes, tail };
    // Who is killed for want of a lease is lost to its worker, and at-least-once has it tried again.
    return end(one, final, end_.how === 'cut_off' ? 'lost' : state);
  }

  /**
   * A ladder that an earlier life of this agent began has left no more than a signal's exit status, or none at all: what was asked to be
   * killed was killed, and what ended so after its timeout was timed out.
   */
  function byOurLadder(one: LiveRun, found: RunEnd): RunEnd {
    if (found.how === 'not_started') return one.record.kill === null ? found : { ...found, how: 'killed' };
    const signalled = found.how === 'vanished' || (found.how === 'exited' && (found.exitCode ?? 0) > 128);
    if (!signalled) return found;
    if (one.record.kill !== null) return { ...found, how: 'killed', exitCode: null };
    const { timeout } = one.spec;
    const limit = timeout === null || found.startedAt === null ? null : found.startedAt + durationMs(timeout);
    return found.how === 'exited' && limit !== null && found.endedAt >= limit
      ? { ...found, how: 'timed_out', exitCode: null }
      : found;
  }

  /** A waiting attempt that will not start. */
  async function cancel(
    one: WaitingRun,
    spec: Job | null,
    state: 'cancelled' | 'killed',
    reason: string,
  ): Promise<void> {
    const { group, name } = parseRunId(one.run);
    const at = clock.now();
    const record = blankRun({
      id: one.run,
      group,
      name,
      state,
      reason,
      instant: one.running.instant,
      attempt: one.running.attempt,
      trigger: one.running.trigger,
      worker: settings.id,
      plannedAt: one.running.notBefore,
      endedAt: at,
      by: one.running.by,
      expireAt: at + durationMs(spec?.retention ?? '30d'),
    });
    await settle(one, record, null);
    // Not before: a look at its key meanwhile would take it for one that nobody has in hand, and start it.
    over.add(one.run);
    waiting.delete(one.run);
    events.emit({ type: 'run.ended', run: one.run, record });
    see.freed(one.job);
  }

  /** Carries a request to kill out; asked twice it is once. */
  function kill(one: LiveRun, asked: KillValue): void {
    if (one.killing !== null || one.phase === 'ending') return;
    events.emit({ type: 'run.kill_requested', run: one.run, by: asked.by });
    const kill_ = {
      by: asked.by,
      requestedAt: asked.at,
      signalledAt: null,
      confirmedAt: null,
      certain: null,
    };
    one.record = { ...one.record, kill: kill_ };
    one.killing = carryOut(one, asked);
  }

  async function carryOut(one: LiveRun, asked: KillValue): Promise<void> {
    const base = { by: asked.by, requestedAt: asked.at };
    const signal = asked.signal ?? one.spec.killSignal;
    const graceMs = asked.graceMs ?? durationMs(one.spec.killGrace);
    const signalledAt = clock.now();
    // Signed before it is done, so that a restarted agent knows whose signal ended the run; a store that is away holds no kill up for long.
    const signed = finishes.submit(signKill(layout, one.job, one.run, asked, signalledAt));
    guard('sign', signed);
    await Promise.race([signed.catch(() => {}), sleep(clock, times.margin)]);
    one.record = {
      ...one.record,
      kill: { ...base, signalledAt, confirmedAt: null, certain: null },
    };
    guard('note', note(one.record));
    const { started: begun, ...report } = await runner.kill(one.run, { signal, graceMs });
    one.record = { ...one.record, kill: { ...base, ...report } };
    events.emit({ type: 'run.killed', run: one.run, certain: report.certain });
    if (begun || one.phase !== 'claimed') return;
    // Nothing of it has started and nothing will: no end is coming that could be waited for.
    one.killing = null;
    const reason = `killed by ${asked.by} before it started`;
    guard('end', end(one, { state: 'killed', reason, endedAt: report.confirmedAt }));
  }

  return {
    live,
    waiting,
    over,
    knows,
    wait,
    planOf,
    add,
    started,
    end,
    ended,
    cancel,
    kill,
    owe,
    note,
    /** How many slots are taken. */
    count: () => live.size,
    /** Settles when every end that is under way is through. */
    async settled(): Promise<void> {
      while (ending.size > 0) await Promise.all(ending);
    },
  };
}
export type Runs = ReturnType<typeof createRuns>;
