import { readJob, readKill, readOrder, readWorker } from '#core/cluster/read-key.ts';
import { DrainValue, decode, type KillValue, type OrderValue } from '#core/cluster/records.ts';
import { hashOf } from '#core/decide/placement.ts';
import type { JobId, RunId } from '#core/model/ids.ts';
import type { JobRecord } from '#core/model/job.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { WorkerRecord } from '#core/model/worker.ts';
import type { Entry, FollowEvent, Revision } from '#core/ports/kv.ts';
import { parseSchedule } from '#core/schedule/parse.ts';
import type { Schedule } from '#core/schedule/schedule.ts';
import type { AgentDeps } from './context.ts';
import { leanRecord } from './lean-record.ts';

export interface MirroredJob {
  id: JobId;
  record: JobRecord;
  mod: Revision;
  schedule: Schedule | null;
  hash: number;
}
export interface MirroredOrder {
  job: JobId;
  /** With `~worker` where it has one. */
  id: string;
  value: OrderValue;
  mod: Revision;
}
export interface MirroredWorker {
  record: WorkerRecord;
  incarnation: Revision;
  hash: number;
}

/** What a mirror tells of a change; each after its maps hold the new state. */
export interface MirrorEvents {
  jobs(ids: JobId[]): void;
  orders(orders: MirroredOrder[]): void;
  kills(runs: RunId[]): void;
  /** `died`: registrations that are gone. */
  workers(died: { id: string; incarnation: Revision }[]): void;
}

/** The agent's view of what changes seldom: jobs, workers, drains, orders, kills. */
export function createMirror({ kv, layout, events }: Pick<AgentDeps, 'kv' | 'layout' | 'events'>) {
  const jobs = new Map<JobId, MirroredJob>();
  const workers = new Map<string, MirroredWorker>();
  const drains = new Set<string>();
  const orders = new Map<string, MirroredOrder>();
  const kills = new Map<RunId, { job: JobId; value: KillValue; mod: Revision }>();
  let revision: Revision = '0';

  const invalid = (key: string, problem: string) => events.emit({ type: 'key.invalid', key, problem });

  /** Each kind of key: what putting and deleting one does to the maps, and the name by which it is told. */
  function jobPut(entry: Entry): JobId | null {
    const read = readJob(layout, entry);
    if (!read.ok) {
      invalid(entry.key, read.problem);
      // A job that can't be read is a job that isn't there: it must not go on from an old copy.
      return jobGone(entry.key);
    }
    const { job: id, record } = read;
    const { job } = record;
    const before = jobs.get(id);
    try {
      const schedule = job.schedule === null ? null : scheduleOf(job);
      jobs.set(id, {
        id,
        record: leanRecord(record),
        mod: entry.mod,
        schedule,
        hash: before?.hash ?? hashOf(id),
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      invalid(entry.key, error.message);
      jobs.delete(id);
    }
    return id;
  }

  function jobGone(key: string): JobId | null {
    const id = key.slice(layout.jobs.length);
    return jobs.delete(id) ? id : null;
  }

  function orderPut(entry: Entry): string | null {
    const read = readOrder(layout, entry);
    if (!read.ok) {
      invalid(entry.key, read.problem);
      orders.delete(entry.key);
      return null;
    }
    orders.set(entry.key, { job: read.job, id: read.id, value: read.value, mod: entry.mod });
    return entry.key;
  }

  function killPut(entry: Entry): RunId | null {
    const read = readKill(layout, entry);
    if (!read.ok) {
      invalid(entry.key, read.problem);
      kills.delete(entry.key.slice(layout.kills.length));
      return null;
    }
    kills.set(read.run, { job: read.job, value: read.value, mod: entry.mod });
    return read.run;
  }

  function workerPut(entry: Entry): string | null {
    const read = readWorker(layout, entry);
    if (!read.ok) {
      invalid(entry.key, read.problem);
      const id = entry.key.slice(layout.workers.length);
      return workers.delete(id) ? id : null;
    }
    const { id, record } = read;
    workers.set(id, { record, incarnation: entry.create, hash: hashOf(id) });
    return id;
  }

  function drainPut(entry: Entry): string | null {
    if (!decode(DrainValue, entry).ok) invalid(entry.key, 'is not a drain');
    // Whatever it holds, somebody put it there: the key alone is what claims are judged on.
    const id = entry.key.slice(layout.drains.length);
    drains.add(id);
    return id;
  }

  /**
   * Follows one prefix: keeps `names` (what a key is told as) so that a list can tell what has gone, and calls `tell` once
   * per event with all that changed.
   */
  async function follow(
    prefix: string,
    stop: AbortSignal,
    put: (entry: Entry) => string | null,
    gone: (key: string) => string | null,
    tell: (changed: string[]) => void,
    listed: () => void,
  ): Promise<void> {
    const known = new Set<string>();
    await kv.follow(prefix, stop, (event: FollowEvent) => {
      const changed = new Set<string>();
      const note = (name: string | null) => name !== null && changed.add(name);
      if (event.type === 'list') {
        // The first list has nothing to compare itself with, and may be long.
        const there = known.size === 0 ? known : new Set(event.entries.map(({ key }) => key));
        for (const key of known) if (!there.has(key)) note(remove(key));
        for (const entry of event.entries) note(add(entry));
      } else
        for (const change of event.changes)
          note(change.type === 'put' ? add(change.entry) : remove(change.key));
      if (BigInt(event.revision) > BigInt(revision)) revision = event.revision;
      if (changed.size > 0) tell([...changed]);
      if (event.type === 'list') listed();
    });
    function add(entry: Entry): string | null {
      known.add(entry.key);
      return put(entry);
    }
    function remove(key: string): string | null {
      known.delete(key);
      return gone(key);
    }
  }

  return {
    jobs,
    workers,
    drains,
    orders,
    kills,
    /** The newest store revision that has been applied. */
    revision: () => revision,
    /** Settles after `stop`; `ready` is called once, when every kind has been listed. */
    async run(stop: AbortSignal, see: MirrorEvents, ready: () => void): Promise<void> {
      let missing = 5;
      const once = () => {
        let listed = false;
        return () => {
          if (listed) return;
          listed = true;
          missing -= 1;
          if (missing === 0) ready();
        };
      };
      const died: { id: string; incarnation: Revision }[] = [];
      await Promise.all([
        follow(layout.jobs, stop, jobPut, jobGone, see.jobs, once()),
        follow(
          layout.workers,
          stop,
          workerPut,
          (key) => {
            const id = key.slice(layout.workers.length);
            const incarnation = workers.get(id)?.incarnation;
            workers.delete(id);
            if (incarnation !== undefined) died.push({ id, incarnation });
            return id;
          },
          () => see.workers(died.splice(0)),
          once(),
        ),
        follow(
          layout.drains,
          stop,
          drainPut,
          (key) => {
            drains.delete(key.slice(layout.drains.length));
            return key;
          },
          () => see.workers([]),
          once(),
        ),
        follow(
          layout.orders,
          stop,
          orderPut,
          (key) => {
            orders.delete(key);
            return null;
          },
          (keys) => see.orders(keys.flatMap((key) => orders.get(key) ?? [])),
          once(),
        ),
        follow(
          layout.kills,
          stop,
          killPut,
          (key) => {
            kills.delete(key.slice(layout.kills.length));
            return null;
          },
          (runs) => see.kills(runs),
          once(),
        ),
      ]);
    },
  };
}
export type Mirror = ReturnType<typeof createMirror>;

function scheduleOf(job: JobRecord['job']): Schedule {
  return parseSchedule(job.schedule ?? [], {
    timezone: job.timezone,
    dst: job.dst,
    seed: `${job.group}/${job.name}`,
    except: job.except,
    ...(job.startAt === null ? {} : { startAt: job.startAt }),
    ...(job.endAt === null ? {} : { endAt: job.endAt }),
  });
}
