import type { RunId } from '#core/model/ids.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import { type Clock, sleep } from '#core/ports/clock.ts';
import type { EventOf, Events } from '#core/ports/events.ts';
import { type History, HistoryError } from '#core/ports/history.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { SpoolFigures } from '../figures.ts';
import type { Ledger } from '../ledger.ts';
import type { LogIo } from '../spool/log.ts';
import { unpackChunk, unpackRecord } from '../spool/payload.ts';
import { setAside } from '../spool/set-aside.ts';
import { createSpool } from '../spool/spool.ts';
import { createAcks } from './acks.ts';
import { createBreaker } from './breaker.ts';

/** A call to History that has not answered by then counts as failed; every one may be repeated. */
const callMs = 15_000;
const idleMs = 10_000;
/** Until room for records is looked for again on a full disk: nothing is claimed without it. */
const fullDiskMs = 2_000;
/** With no more than this many waiting things are shipped as they came; behind a backlog records go first. */
const calmFrames = 64;
/** Output gets its turn between records again below this many. */
const manyRecords = 4_096;

export interface LedgerOptions {
  /** The spool's folder; one ledger alone holds it. */
  dir: string;
  history: Pick<History, 'saveRuns' | 'saveLogs' | 'addAlerts'>;
  clock: Clock;
  ids: Pick<Ids, 'chance'>;
  events: Events;
  /** Of the spool's files, 256 MiB if left out. */
  maxBytes?: number;
  io?: LogIo;
}

export interface SpoolingLedger extends Ledger {
  figures(): SpoolFigures;
  /** Ships until `stop`; settles with everything on disk, and with History too if that answers. Nothing may be handed over afterwards. */
  run(stop: AbortSignal): Promise<void>;
}

/** The Ledger over this host's disk. Opens, and where need be mends, the spool at once; what it held is shipped by `run`. */
export function createLedger(options: LedgerOptions): SpoolingLedger {
  const { dir, history, clock, events, maxBytes = 256 * 1024 * 1024, io } = options;
  const breaker = createBreaker(options);
  const acks = createAcks(clock);
  const aside = setAside(dir);
  let wake = () => {};
  /** Boot ms when History last took something, or nothing was there for it to take. */
  let tookAt = clock.boot();
  const spool = createSpool({
    ...{ dir, clock, events, maxBytes, away: breaker.away, wrote: () => wake() },
    ...(io === undefined ? {} : { io }),
  });
  let emptyAt: number | null = null;
  const waits = () => spool.records.pending() + spool.output.pending() > 0;

  /** Under load something waits at almost any moment that one looks: so it is looked at each time that something was taken. */
  function lookWhetherEmpty(): number | null {
    if (!waits()) emptyAt = clock.now();
    return emptyAt;
  }

  function succeeded(): void {
    breaker.succeeded();
    tookAt = clock.boot();
  }

  async function answered(work: Promise<void>): Promise<void> {
    const limit = Promise.withResolvers<never>();
    const late = () => limit.reject(new Error(`History has not answered within ${callMs} ms`));
    const cancel = clock.after(callMs, late);
    await Promise.race([work, limit.promise]).finally(cancel);
  }

  /** Saves all of it; what History will never take is set aside, counts as dealt with, and holds up nothing behind it. */
  async function save<T>(
    what: EventOf<'spool.refused'>['what'],
    items: readonly T[],
    runOf: (item: T) => RunId | null,
    give: (items: readonly T[]) => Promise<void>,
  ): Promise<void> {
    try {
      await answered(give(items));
    } catch (error) {
      if (!isUnfit(error)) throw error;
      for (const item of items) {
        try {
          await answered(give([item]));
        } catch (alone) {
          if (!isUnfit(alone)) throw alone;
          const problem = alone.message;
          const file = aside.put({ what, problem, item });
          events.emit({ type: 'spool.refused', what, run: runOf(item), problem, file });
        }
      }
    }
  }

  async function shipRecords(): Promise<void> {
    const batch = await spool.records.next();
    if (batch.length === 0) return;
    const spooled = batch.map(({ payload }) => unpackRecord(payload));
    const runs = spooled.map(({ run }) => run);
    const alerts = spooled.flatMap((each) => each.alerts);
    await save('record', lasting(runs), ({ id }) => id, history.saveRuns.bind(history));
    // Behind the records: by these it is judged whether an alert is over.
    if (alerts.length > 0) await save('alert', alerts, ({ run }) => run, history.addAlerts.bind(history));
    succeeded();
    spool.records.acked();
    spool.note(spool.records);
    for (const run of runs) if (isTerminal(run.state)) acks.acked(run.id);
    events.emit({ type: 'ledger.acked', runs: runs.length, chunks: 0 });
  }

  async function shipOutput(): Promise<void> {
    const batch = await spool.output.next();
    if (batch.length === 0) return;
    const chunks = batch.map(({ payload }) => {
      const { run, seq, offset, data, at, expireAt } = unpackChunk(payload);
      return { run, seq, offset, data, at, expireAt };
    });
    await spool.sync();
    await save('output', chunks, ({ run }) => run, history.saveLogs.bind(history));
    succeeded();
    spool.output.acked();
    spool.note(spool.output);
    events.emit({ type: 'ledger.acked', runs: 0, chunks: chunks.length });
  }

  async function ship(): Promise<void> {
    const calm = spool.records.pending() <= calmFrames && spool.output.pending() <= calmFrames;
    if (calm) await shipOutput();
    await shipRecords();
    if (!calm && spool.records.pending() <= manyRecords) await shipOutput();
    lookWhetherEmpty();
  }

  /** Until something was written, `stop`, or it is time to look at the disk. */
  function idle(stop: AbortSignal): Promise<void> {
    const woken = new AbortController();
    wake = () => woken.abort();
    return sleep(clock, spool.hasRoom() ? idleMs : fullDiskMs, AbortSignal.any([stop, woken.signal]));
  }

  return {
    record: spool.record,
    output: spool.add,
    acked: acks.wait,
    hasRoom: spool.hasRoom,
    fullness: spool.fullness,
    waiting: spool.waiting,
    emptyAt: lookWhetherEmpty,
    figures: () => ({
      ...{ bytes: spool.used(), limitBytes: maxBytes },
      ...{ records: spool.records.pending(), pieces: spool.output.pending() },
      lagMs: waits() ? clock.boot() - tookAt : 0,
    }),
    async run(stop) {
      while (!stop.aborted) {
        if (!spool.hasRoom()) spool.recover();
        if (!waits()) {
          await idle(stop);
          tookAt = clock.boot();
        }
        try {
          await ship();
        } catch (error) {
          // History is away; the spool keeps it all.
          await sleep(clock, breaker.failed(error), stop);
        }
      }
      await spool.flush();
      try {
        while (waits() && !breaker.away()) await ship();
      } catch (error) {
        // The next start ships the rest.
        breaker.failed(error);
      }
      await spool.flush();
      await spool.close();
      acks.close();
    },
  };
}

/** Without open records that another of the same run replaces in the same breath: behind a backlog that is half of what is written. */
function lasting(runs: readonly Run[]): Run[] {
  const last = new Map(runs.map(({ id }, at) => [id, at]));
  return runs.filter(({ id, state }, at) => isTerminal(state) || last.get(id) === at);
}

function isUnfit(error: unknown): error is HistoryError {
  return error instanceof HistoryError && error.code === 'unfit';
}
