import type { Batcher } from '#core/cluster/batch.ts';
import { adopt, closeDead, type Following } from '#core/cluster/finish.ts';
import { splitKey } from '#core/cluster/keys.ts';
import { CursorValue, decode, OwedValue, RunningValue } from '#core/cluster/records.ts';
import { nextAttempt } from '#core/decide/outcome.ts';
import { hashOf } from '#core/decide/placement.ts';
import { durationMs } from '#core/model/duration.ts';
import { type JobId, parseRunId, type RunId, runId } from '#core/model/ids.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { sleep } from '#core/ports/clock.ts';
import { type Entry, KvError, prefixRange } from '#core/ports/kv.ts';
import { type AgentDeps, times } from './context.ts';
import type { Mirror } from './mirror.ts';
import type { Presence } from './presence.ts';
import type { Runs } from './runs.ts';

const dayMs = 86_400_000;
const pageSize = 500;
/** A key of my own that I know nothing of may be one whose claim's answer is still under way. */
const settledMs = 5_000;

/** A running key, read. */
export interface HeldRun {
  entry: Entry;
  job: JobId;
  lane: string;
  run: RunId;
  value: RunningValue;
}

/** Looks after what dead workers, ended jobs and an absent History have left in the store. Only keepers read all of running/. */
export function createKeeper(
  deps: AgentDeps & {
    mirror: Mirror;
    presence: Presence;
    runs: Runs;
    /** Compared with: this is still me, drained or not. */
    keeps: Batcher;
    found(entry: Entry): void;
  },
) {
  const { kv, layout, clock, settings, events, mirror, presence, runs, keeps } = deps;

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
      const key = splitKey(layout.running, entry.key);
      const [lane, run] = key?.rest ?? [];
      const read = decode(RunningValue, entry);
      if (key === null || lane === undefined || run === undefined || !read.ok)
        events.emit({
          type: 'key.invalid',
          key: entry.key,
          problem: read.ok ? 'is not running/GROUP/NAME/LANE/RUN' : read.problem,
        });
      else yield { entry, job: key.job, lane, run, value: read.value };
    }
  }

  /** Whose registration stands under this incarnation, as far as the mirror knows. */
  function stands(value: RunningValue): boolean {
    return mirror.workers.get(value.worker)?.incarnation === value.incarnation;
  }

  /** My place among the living for looking after `what`: 0 acts, the others only if that one does not. */
  function place(what: string): number {
    const seed = hashOf(what);
    const ranked = [...mirror.workers.keys()].sort(
      (a, b) => (hashOf(`${a}${seed}`) >>> 0) - (hashOf(`${b}${seed}`) >>> 0),
    );
    return Math.max(0, ranked.indexOf(settings.id));
  }

  /** Ends a run whose owner is gone; an attempt that waited there goes on waiting here. */
  async function close({ entry, job, lane, run, value }: HeldRun): Promise<void> {
    const basis = { job, lane, run, mod: entry.mod };
    if (value.state === 'waiting') return void (await takeOver(basis, value, entry));
    const at = clock.now();
    const parts = parseRunId(run);
    const spec = mirror.jobs.get(job)?.record.job ?? null;
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
            at,
          );
    const piece = closeDead(layout, basis, {
      owner: value.worker,
      incarnation: value.incarnation,
      record,
      next,
      at,
      by: settings.id,
    });
    const result = await keeps.submit(piece);
    if (result.outcome !== 'done' || !result.succeeded) return;
    events.emit({ type: 'keeper.closed', run, owner: value.worker });
    await runs.owe([record]);
    const nested = result.results[2];
    if (next !== null && nested?.type === 'txn' && nested.succeeded)
      runs.wait({ ...next, job, lane, mod: result.revision, fence: result.revision });
  }

  function following(
    run: RunId,
    value: RunningValue,
    next: ReturnType<typeof nextAttempt>,
    at: number,
  ): Following | null {
    const incarnation = presence.incarnation();
    if (next === null || incarnation === null) return null;
    const running: RunningValue = {
      ...value,
      ...next,
      worker: settings.id,
      incarnation,
      state: 'waiting',
      at,
      trigger: 'retry',
      covers: null,
    };
    return { run: runId({ ...parseRunId(run), attempt: next.attempt }), running };
  }

  async function takeOver(
    basis: { job: JobId; lane: string; run: RunId; mod: string },
    value: RunningValue,
    entry: Entry,
  ): Promise<void> {
    const incarnation = presence.incarnation();
    if (incarnation === null) return;
    const running: RunningValue = { ...value, worker: settings.id, incarnation, at: clock.now() };
    const result = await keeps.submit(adopt(layout, basis, running));
    if (result.outcome === 'done' && result.succeeded)
      runs.wait({
        run: basis.run,
        job: basis.job,
        lane: basis.lane,
        running,
        mod: result.revision,
        fence: entry.create,
      });
  }

  /** Closes what a dead worker held, a while after its registration has gone; others wait five seconds longer each. */
  async function bury(died: { id: string; incarnation: string }, stop: AbortSignal): Promise<void> {
    await sleep(clock, 2 * times.margin + 5_000 * place(died.id), stop);
    for await (const one of held()) {
      if (stop.aborted || presence.incarnation() === null) return;
      if (one.value.worker === died.id && one.value.incarnation === died.incarnation && !stands(one.value))
        await close(one);
    }
  }

  async function sweep(stop: AbortSignal): Promise<void> {
    const now = clock.now();
    for await (const one of held()) {
      if (stop.aborted || presence.incarnation() === null) return;
      const mine = one.value.worker === settings.id;
      if (mine && now - one.value.at > settledMs) deps.found(one.entry);
      else if (!mine && !stands(one.value) && now - one.value.at > times.leaseTtl) await close(one);
      else if (!mine && one.value.state === 'waiting' && mirror.drains.has(one.value.worker))
        await takeOver({ ...one, mod: one.entry.mod }, one.value, one.entry);
    }
    for await (const entry of pages(layout.owed)) {
      const read = decode(OwedValue, entry);
      if (!read.ok) events.emit({ type: 'key.invalid', key: read.key, problem: read.problem });
      else if (now - read.value.at > times.keeperEvery) await runs.owe([read.value.run as unknown as Run]);
    }
    await forgetOrders(now);
    await forgetKills(now);
    await forgetCursors(now);
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
    for (const [run, { value, mod }] of [...mirror.kills]) {
      const { group, name } = parseRunId(run);
      if (now > value.expiresAt) await remove(layout.kill(run), `${group}/${name}`, mod);
    }
  }

  /** A cursor outlives its job by a day: were it gone at once, a job made anew could run an instant again. */
  async function forgetCursors(now: number): Promise<void> {
    for await (const entry of pages(layout.cursors)) {
      const key = splitKey(layout.cursors, entry.key);
      if (key === null || mirror.jobs.has(key.job)) continue;
      const read = decode(CursorValue, entry);
      if (read.ok && now - read.value.instant > dayMs) await remove(entry.key, key.job, entry.mod);
    }
  }

  return {
    held,
    bury,
    async run(stop: AbortSignal): Promise<void> {
      while (!stop.aborted) {
        await sleep(clock, times.keeperEvery, stop);
        if (stop.aborted || place('keeper') > 0) continue;
        try {
          await sweep(stop);
        } catch (error) {
          // The store was away for a moment: the next sweep finds the same.
          if (!(error instanceof KvError)) throw error;
        }
      }
    },
  };
}
export type Keeper = ReturnType<typeof createKeeper>;
