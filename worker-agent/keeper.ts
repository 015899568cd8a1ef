import type { Batcher, PieceResult } from '#core/cluster/batch.ts';
import { adopt, closeDead, type Following, type RunBasis } from '#core/cluster/finish.ts';
import { oneLane } from '#core/cluster/keys.ts';
import { type Running, readCursor, readOwed, readRunning } from '#core/cluster/read-key.ts';
import type { RunningValue } from '#core/cluster/records.ts';
import { nextAttempt } from '#core/decide/outcome.ts';
import { fits, hashOf, poolKey } from '#core/decide/placement.ts';
import { durationMs } from '#core/model/duration.ts';
import { type JobId, parseRunId, type RunId, runId } from '#core/model/ids.ts';
import type { Job } from '#core/model/job.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { sleep } from '#core/ports/clock.ts';
import { type Entry, KvError, prefixRange, type Revision } from '#core/ports/kv.ts';
import { type AgentDeps, times } from './context.ts';
import type { Intents } from './intents.ts';
import type { Mirror } from './mirror.ts';
import type { Presence } from './presence.ts';
import type { Runs } from './runs.ts';

const dayMs = 86_400_000;
const pageSize = 500;
/** A key of my own that I know nothing of may be one whose claim's answer is still under way. */
const settledMs = 5_000;

/** A running key, read. */
export type HeldRun = Running & { entry: Entry };

/** Looks after what dead workers, ended jobs and an absent History have left in the store. Only keepers and their deputies read all of running/. */
export function createKeeper(
  deps: AgentDeps & {
    mirror: Mirror;
    presence: Presence;
    runs: Runs;
    /** Compared with: this is still me, drained or not. */
    keeps: Batcher;
    intents: Intents;
    found(entry: Entry): void;
  },
) {
  const { kv, layout, clock, settings, events, mirror, presence, runs, keeps, intents } = deps;

  async function* pages(prefix: string): AsyncGenerator<Entry> {
    const range = prefixRange(prefix);
    let key = range.key;
    for (;;) {
      const page = await kv.range({ key, end: range.end }, { limit: pageSize });
      yield* page.entries;
      const last = page.entries.at(-1);
      if (!page.more || last === undefined) return;
      key = `${last.key}\0`;
    }
  }

  /** Every running key that can be read; the others are named and passed over. */
  async function* held(): AsyncGenerator<HeldRun> {
    for await (const entry of pages(layout.running)) {
      const read = readRunning(layout, entry);
      if (read.ok) yield read;
      else events.emit({ type: 'key.invalid', key: read.key, problem: read.problem });
    }
  }

  /** Whose registration stands under this incarnation, as far as the mirror knows. */
  function stands(value: RunningValue): boolean {
    return mirror.workers.get(value.worker)?.incarnation === value.incarnation;
  }

  /** How long its host may still be at ending it, after the lease. */
  function graceOf({ state, graceMs = 0 }: RunningValue): number {
    return state === 'claimed' ? graceMs : 0;
  }

  function ranked(what: string): string[] {
    const seed = hashOf(what);
    return [...mirror.workers.keys()].sort(
      (a, b) => (hashOf(`${a}${seed}`) >>> 0) - (hashOf(`${b}${seed}`) >>> 0),
    );
  }

  /** Who takes on what is new: neither stopped for a while nor drained. */
  function works(id: string): boolean {
    return mirror.workers.get(id)?.record.state === 'live' && !mirror.drains.has(id);
  }

  /**
   * My place for looking after `what`: 0 acts, the others only if that one does not. Who is away would leave it undone, and who is drained
   * could hand on nothing that waits with itself.
   */
  function place(what: string): number {
    const all = ranked(what);
    const order = [...all.filter(works), ...all.filter((id) => !works(id))];
    return Math.max(0, order.indexOf(settings.id));
  }

  /** The same for one run of a dead worker: first those who may run its next attempt. */
  function placeFor(job: JobId, died: string): number {
    const spec = mirror.jobs.get(job)?.record.job ?? null;
    const all = ranked(died);
    const able = all.filter((id) => {
      const record = mirror.workers.get(id)?.record;
      return record !== undefined && works(id) && (spec === null || fits(spec, record));
    });
    return Math.max(0, [...able, ...all.filter((id) => !able.includes(id))].indexOf(settings.id));
  }

  /** Whether an attempt that waits in this lane may be mine. In mode all it is its own worker's. */
  function mayTake(job: JobId, lane: string): boolean {
    const spec = mirror.jobs.get(job)?.record.job ?? null;
    return spec !== null && lane === oneLane && fits(spec, settings);
  }

  /**
   * Ends a run whose owner is gone; an attempt that waited there goes on waiting here, or there where this worker may not run it.
   * `absent`: only while no registration of its owner stands, since one that is back adopts its runs itself.
   */
  async function close({ entry, job, lane, run, value }: HeldRun, absent: boolean): Promise<void> {
    const basis = { job, lane, run, mod: entry.mod };
    const at = clock.now();
    const spec = mirror.jobs.get(job)?.record.job ?? null;
    if (value.state === 'waiting') {
      const waiting = { ...basis, running: value, fence: entry.create };
      if (spec === null) await runs.cancel(waiting, spec, 'cancelled', 'deleted');
      else if (mayTake(job, lane)) await takeOver(basis, value, entry);
      else if (lane !== oneLane && at - value.at > dayMs)
        await runs.cancel(
          { ...basis, running: value, fence: entry.create },
          spec,
          'cancelled',
          'its worker is gone',
        );
      return;
    }
    const parts = parseRunId(run);
    const record: Run = blankRun({
      id: run,
      group: parts.group,
      name: parts.name,
      state: 'lost',
      reason: `its worker ${value.worker} is gone`,
      instant: value.instant,
      attempt: value.attempt,
      trigger: value.trigger,
      worker: value.worker,
      incarnation: value.incarnation,
      plannedAt: value.instant ?? value.notBefore,
      claimedAt: value.at,
      endedAt: at,
      by: value.by,
      fence: entry.create,
      command: spec?.command ?? spec?.argv?.join(' ') ?? null,
      expireAt: at + durationMs(spec?.retention ?? '30d'),
    });
    const next =
      spec === null
        ? null
        : following(
            run,
            value,
            nextAttempt(spec, { state: 'lost', attempt: value.attempt, losses: value.losses, endedAt: at }),
            mayTake(job, lane),
            at,
          );
    const piece = closeDead(layout, basis, {
      owner: value.worker,
      incarnation: absent ? null : value.incarnation,
      record,
      next,
      at,
      by: settings.id,
    });
    const result = await keeps.submit(piece);
    if (result.outcome !== 'done' || !result.succeeded) {
      if (next?.running.worker === settings.id) doubtful(result, basis, next.run);
      return;
    }
    events.emit({ type: 'keeper.closed', run, owner: value.worker });
    await runs.owe([record]);
    const nested = result.results[2];
    if (next?.running.worker === settings.id && nested?.type === 'txn' && nested.succeeded)
      runs.wait({ ...next, job, lane, mod: result.revision, fence: result.revision });
  }

  function following(
    run: RunId,
    value: RunningValue,
    next: ReturnType<typeof nextAttempt>,
    mine: boolean,
    at: number,
  ): Following | null {
    const incarnation = presence.incarnation();
    if (next === null || incarnation === null) return null;
    const running: RunningValue = {
      ...value,
      ...next,
      ...(mine ? { worker: settings.id, incarnation } : {}),
      state: 'waiting',
      at,
      trigger: 'retry',
      covers: null,
    };
    return { run: runId({ ...parseRunId(run), attempt: next.attempt }), running };
  }

  /** An attempt of which an earlier try of the same request may have made me the owner. */
  function doubtful({ doubt }: PieceResult, { job, lane, run, mod }: RunBasis, mine: RunId): void {
    const moves = { key: layout.run(job, lane, run), mod };
    if (doubt) intents.keep({ job, lane, run: mine, moves, jobMod: null });
  }

  async function takeOver(basis: RunBasis, value: RunningValue, entry: Entry): Promise<void> {
    const incarnation = presence.incarnation();
    if (incarnation === null) return;
    const running: RunningValue = { ...value, worker: settings.id, incarnation, at: clock.now() };
    const result = await keeps.submit(adopt(layout, basis, running));
    if (result.outcome !== 'done' || !result.succeeded) doubtful(result, basis, basis.run);
    else
      runs.wait({
        run: basis.run,
        job: basis.job,
        lane: basis.lane,
        running,
        mod: result.revision,
        fence: entry.create,
      });
  }

  /** An attempt that waits for somebody who can't run it: dead, or not named by the job's target any more. */
  async function inherit({ entry, job, lane, run, value }: HeldRun): Promise<void> {
    const spec = mirror.jobs.get(job)?.record.job ?? null;
    const owner = mirror.workers.get(value.worker)?.record;
    const able = stands(value) && (spec === null || owner === undefined || fits(spec, owner));
    if (value.state !== 'waiting' || able || !mayTake(job, lane)) return;
    if (clock.now() - value.at > times.leaseTtl)
      await takeOver({ job, lane, run, mod: entry.mod }, value, entry);
  }

  /** By worker: who waits to bury it, since its last death. */
  const buriers = new Map<string, AbortController>();

  /**
   * Closes what a dead worker held, a while after its registration has gone; others wait five seconds longer each. If it is back before,
   * it is its own; and if it dies again, the while begins anew: what it holds by then has been its own until just now.
   */
  async function bury(died: string, until: AbortSignal): Promise<void> {
    const mine = new AbortController();
    buriers.get(died)?.abort();
    buriers.set(died, mine);
    const stop = AbortSignal.any([until, mine.signal]);
    const began = clock.boot();
    for (let graceMs: number | null = 0; graceMs !== null && !stop.aborted; ) {
      await sleep(clock, 2 * times.margin + graceMs - (clock.boot() - began), stop);
      if (!stop.aborted) graceMs = await buryThose(died, graceMs, stop);
    }
    if (buriers.get(died) === mine) buriers.delete(died);
  }

  /** Those that need no longer to be ended on their host; gives the least that any other needs, null: there is none. */
  async function buryThose(died: string, graceMs: number, stop: AbortSignal): Promise<number | null> {
    let next: number | null = null;
    for (let turn = 0; turn <= mirror.workers.size; turn += 1) {
      let left = false;
      next = null;
      for await (const one of held()) {
        if (stop.aborted || presence.incarnation() === null) return null;
        if (one.value.worker !== died) continue;
        // A network that was away for longer than leases last has killed nobody.
        await sleep(clock, presence.othersMayFollowMs(), stop);
        if (stop.aborted || mirror.workers.has(died)) return null;
        const needs = graceOf(one.value);
        if (needs > graceMs) {
          next = Math.min(next ?? needs, needs);
          continue;
        }
        if (placeFor(one.job, died) <= turn) await close(one, true);
        else left = true;
      }
      if (!left) return next;
      await sleep(clock, 5_000, stop);
    }
    return next;
  }

  /** Whether I am the first of these who may run this job. */
  function isFirstFor(spec: Job, order: readonly string[]): boolean {
    const first = order.find((id) => {
      const record = mirror.workers.get(id)?.record;
      return record !== undefined && fits(spec, record);
    });
    return first === settings.id;
  }

  /**
   * Whether there is a job that the keeper may not run, and I am the first who may: what waits of it with somebody who can't run it is nobody's
   * else, for where runs may overlap, or none is due, its home does not look at the lane either.
   */
  function isDeputy(order: readonly string[]): boolean {
    const keeper = mirror.workers.get(order[0] ?? '')?.record;
    if (keeper === undefined) return false;
    const known = new Set<string>();
    for (const { record } of mirror.jobs.values()) {
      const spec = record.job;
      if (!fits(spec, settings) || fits(spec, keeper)) continue;
      const key = poolKey(spec);
      if (known.has(key)) continue;
      known.add(key);
      if (isFirstFor(spec, order)) return true;
    }
    return false;
  }

  /** What a deputy looks after: attempts that wait, of jobs that are left to it. */
  function isLeftToMe({ job, lane, value }: HeldRun, order: readonly string[]): boolean {
    const spec = mirror.jobs.get(job)?.record.job;
    return value.state === 'waiting' && spec !== undefined && mayTake(job, lane) && isFirstFor(spec, order);
  }

  /** Keys of incarnations that are over, since when (boot time) sweeps have seen them so: who is back has had the time to adopt them. */
  let stale = new Map<string, { mod: Revision; since: number }>();

  async function sweep(stop: AbortSignal, isMine: (one: HeldRun) => boolean): Promise<boolean> {
    const now = clock.now();
    const seen: typeof stale = new Map();
    for await (const one of held()) {
      if (stop.aborted || presence.incarnation() === null) return false;
      if (!isMine(one)) continue;
      const { key, mod } = one.entry;
      const mine = one.value.worker === settings.id;
      if (mine && now - one.value.at > settledMs) deps.found(one.entry);
      else if (!mine && !stands(one.value)) {
        const known = stale.get(key);
        const since = known?.mod === mod ? known.since : clock.boot();
        const waited = known?.mod === mod && clock.boot() - since >= 2 * times.margin + graceOf(one.value);
        if (waited) await close(one, false);
        else seen.set(key, { mod, since });
      } else if (!mine && one.value.state === 'waiting' && !works(one.value.worker)) {
        if (mayTake(one.job, one.lane)) await takeOver({ ...one, mod }, one.value, one.entry);
      } else if (!mine) await inherit(one);
    }
    stale = seen;
    return true;
  }

  async function keepBooks(stop: AbortSignal): Promise<void> {
    const now = clock.now();
    if (!(await sweep(stop, () => true))) return;
    await handOn(({ at }) => now - at > times.keeperEvery);
    await forgetOrders(now);
    await forgetKills(now);
    await forgetCursors(now);
  }

  async function deputize(stop: AbortSignal): Promise<void> {
    // In the order in which they keep the books.
    const order = ranked('keeper').filter(works);
    if (isDeputy(order)) await sweep(stop, (one) => isLeftToMe(one, order));
  }

  /** Gives records that the store owes to History, of those that `which` names, to the spool once more. */
  async function handOn(which: (owed: { at: number; by: string }) => boolean): Promise<void> {
    for await (const entry of pages(layout.owed)) {
      const read = readOwed(layout, entry);
      if (!read.ok) events.emit({ type: 'key.invalid', key: read.key, problem: read.problem });
      else if (which(read)) await runs.owe([read.run]);
    }
  }

  async function patiently(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // The store was away for a moment: the next sweep finds the same.
      if (!(error instanceof KvError)) throw error;
    }
  }

  async function remove(key: string, job: JobId, mod: string): Promise<void> {
    await keeps.submit({
      job,
      txn: { compare: [{ key, target: 'mod', op: '=', revision: mod }], then: [{ type: 'delete', key }] },
    });
  }

  /** Orders stay for a day after their last run, so that a repeated request finds its answer. */
  async function forgetOrders(now: number): Promise<void> {
    for (const [key, { job, value, mod }] of [...mirror.orders]) {
      const last = value.taken?.at ?? value.expiresAt ?? value.at;
      const over = value.done || (value.expiresAt !== null && now > value.expiresAt);
      if (over && now - last > dayMs) await remove(key, job, mod);
    }
  }

  async function forgetKills(now: number): Promise<void> {
    for (const [run, { job, value, mod }] of [...mirror.kills])
      if (now > value.expiresAt) await remove(layout.kill(run), job, mod);
  }

  /** A cursor outlives its job by a day: were it gone at once, a job made anew could run an instant again. */
  async function forgetCursors(now: number): Promise<void> {
    for await (const entry of pages(layout.cursors)) {
      const read = readCursor(layout, entry);
      if (read.ok && !mirror.jobs.has(read.job) && now - read.value.instant > dayMs)
        await remove(entry.key, read.job, entry.mod);
    }
  }

  return {
    held,
    inherit,
    bury,
    async run(stop: AbortSignal): Promise<void> {
      const began = clock.now();
      // What an earlier life of this agent decided in its last moments has not come into its spool any more.
      await patiently(() => handOn(({ by, at }) => by === settings.id && at < began));
      while (!stop.aborted) {
        await sleep(clock, times.keeperEvery, stop);
        if (stop.aborted) return;
        if (place('keeper') === 0) await patiently(() => keepBooks(stop));
        else await patiently(() => deputize(stop));
      }
    },
  };
}
export type Keeper = ReturnType<typeof createKeeper>;
