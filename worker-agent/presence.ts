import { isDeepStrictEqual } from 'node:util';
import { readWorker } from '#core/cluster/read-key.ts';
import { goAway, type Registration, register, rewrite } from '#core/cluster/registration.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { WorkerRecord } from '#core/model/worker.ts';
import { sleep } from '#core/ports/clock.ts';
import { type Entry, KvError, type LeaseId, type Revision } from '#core/ports/kv.ts';
import { type AgentDeps, times } from './context.ts';

/**
 * The agent's hold on its id: a leased registration, renewed by a loop of our own. It is lost at send time + TTL - margin
 * by boot time or by the wall clock, whichever is further: a suspended host's monotonic clock stands still.
 */
export function createPresence(
  deps: AgentDeps & {
    /** Whether the clock may be trusted with instants. */
    trusted(): boolean;
    /** What of the registration changes while it stands. */
    now(): Pick<WorkerRecord, 'clockSkewMs' | 'full'>;
  },
) {
  const { kv, layout, clock, settings, events, memory, runner } = deps;
  let mine: Registration | null = null;
  let sent = { boot: 0, wall: 0 };
  let lost = true;
  /** False between a new registration and the adoption of every run under it. */
  let adopted = true;
  let since = clock.now();
  /** Whether the registration as it stands is not what is so now, and whether somebody sees to that. */
  let changed = false;
  let rewriting = false;

  const record = (): WorkerRecord => ({
    id: settings.id,
    host: settings.host,
    addresses: settings.addresses,
    labels: settings.labels,
    version: settings.version,
    state: 'live',
    since,
    capacity: settings.capacity,
    tzdata: settings.tzdata,
    switchesUser: settings.switchesUser,
    ...deps.now(),
  });

  function mark() {
    return { boot: clock.boot(), wall: clock.now() };
  }

  function leftMs(): number {
    const passed = Math.max(clock.boot() - sent.boot, clock.now() - sent.wall);
    return times.leaseTtl - times.margin - passed;
  }

  /** The lease stands as of a request that was sent then. */
  function renewed(at: typeof sent): void {
    sent = at;
    runner.lease(clock.boot() + leftMs());
  }

  /** The leases of this id that were noted down and may still hold a registration, newest last. */
  let leases: LeaseId[] = [];
  function remember(lease: LeaseId): Promise<boolean> {
    leases = [...leases.slice(-7), lease];
    return save();
  }

  /** Since when (boot time) it stands under a registration that was made because another had been lost. */
  let anewSince = Number.NEGATIVE_INFINITY;
  let incarnations: Revision[] = [];
  function save(): Promise<boolean> {
    return memory.save({ leases, since, labels: settings.labels, incarnations });
  }

  /** The registration that stands in the way, as of the last try. */
  let standing: Entry | null = null;

  /**
   * The lease of a registration that stands for the next start of an agent which has stopped. Where this data folder does not know it, this
   * is that next start on another disk, or another server of this id, which is not waited for longer than a restart takes.
   */
  function leftFor(): LeaseId | null {
    if (standing === null) return null;
    const read = readWorker(layout, standing);
    return read.ok && read.record.state === 'away' ? standing.lease : null;
  }

  /** One try to be registered; the standing registration when it isn't ours to take. */
  async function take(): Promise<Registration | null> {
    const at = mark();
    // Not noted down on a full disk, it costs the next start after a crash the rest of this lease, and nothing else.
    const note = async (lease: LeaseId) => void (await remember(lease));
    const answer = await register(kv, layout, record(), times.leaseTtl, note);
    standing = 'mine' in answer ? null : answer.standing;
    if ('mine' in answer) {
      mine = answer.mine;
      renewed(at);
      incarnations = [...incarnations.slice(-7), mine.incarnation];
      // Not noted down, what is claimed and has not been armed when this life ends is lost instead of started.
      await save();
      return mine;
    }
    return null;
  }

  return {
    /** Registers for the first time. What an earlier life of this data folder left standing is taken down first. */
    async enter(stop: AbortSignal): Promise<void> {
      const known = await memory.load();
      leases = known?.leases ?? [];
      incarnations = known?.incarnations ?? [];
      // With other labels it is another worker to the jobs that fit it now: they count from here.
      if (known !== null && isDeepStrictEqual(known.labels, settings.labels)) since = known.since;
      let began = clock.boot();
      const waited = (at: number) => at - began > times.leaseTtl + 2 * times.margin;
      // Ended between here and the new registration, this life leaves its runs with no lease at all, and their keeper does not wait for
      // the end of the old one.
      if (leases.length > 0) runner.lease(began + times.margin);
      while (!stop.aborted) {
        // Who is stopped with an answer under way reads it when what it tells of may be long gone.
        const asked = clock.boot();
        try {
          for (const lease of leases) await kv.revoke(lease);
          const left = leftFor();
          if (left !== null && waited(asked)) await kv.revoke(left);
          if ((await take()) !== null) {
            lost = false;
            return;
          }
        } catch (error) {
          // The store is away or slow: asked again until it is there.
          if (!(error instanceof KvError)) throw error;
          // Nothing that was ours is lost by stopping here, and whoever started this agent is looking.
          if (error.code === 'forbidden')
            throw new Refusal(
              'store_forbidden',
              `kv: ${error.message}, to write ${layout.worker(settings.id)}`,
            );
          began = clock.boot();
        }
        if (waited(asked) && leftFor() === null)
          throw new Refusal(
            'worker_id_taken',
            `id: another agent is registered as ${JSON.stringify(settings.id)} and lives; expected an id of its own for each agent (--id)`,
          );
        await sleep(clock, times.margin, stop);
      }
    },

    /** The incarnation under which claims and releases are allowed right now, or null. */
    incarnation: (): string | null =>
      lost || mine === null || leftMs() <= 0 || !deps.trusted() ? null : mine.incarnation,
    /** The incarnation under which this agent last stood, whether or not it may claim. */
    lastIncarnation: (): string | null => mine?.incarnation ?? null,
    /**
     * Whether whatever started under that incarnation has left its traces on this host: not so where its disk is another one, or where the
     * power went before they were on it.
     */
    hasTraces: (incarnation: Revision): boolean => incarnations.includes(incarnation),
    /** Of the lease, before it is not sure any more; null: there has been none. */
    leftMs: (): number | null => (mine === null ? null : leftMs()),
    /** Boot time (ms) after which nothing may be released on the strength of this lease. */
    deadlineBoot: (): number => clock.boot() + leftMs(),
    /** So long yet (ms) what has taken this worker's registration may be about to be over for others, too. */
    othersMayFollowMs: (): number => Math.max(0, anewSince + times.followMs - clock.boot()),
    since: () => since,

    /**
     * Renews until `stop`. Under a new registration `adopt` comes before anything may be claimed on it. `reborn` comes after that, and
     * whenever the lease was not sure for a while: what should have started meanwhile was held back.
     */
    async run(stop: AbortSignal, then: { adopt(): Promise<unknown>; reborn(): void }): Promise<void> {
      const settle = async (lapsed: boolean) => {
        const anew = !adopted;
        if (anew) await then.adopt();
        adopted = true;
        lost = false;
        if (anew || lapsed) then.reborn();
      };
      while (!stop.aborted) {
        await sleep(clock, lost ? times.margin : times.renewEvery, stop);
        if (stop.aborted || mine === null) return;
        try {
          const at = mark();
          if ((await kv.renew(mine.lease)) > 0) {
            const lapsed = lost || leftMs() <= 0;
            renewed(at);
            await settle(lapsed);
            continue;
          }
          if (!lost)
            events.emit({
              type: 'agent.lease_lost',
              worker: settings.id,
              reason: 'the store has ended the lease',
            });
          lost = true;
          adopted = false;
          if ((await take()) === null) continue;
          anewSince = clock.boot();
          await settle(true);
        } catch (error) {
          // The store is away or slow: the lease runs out by itself, and the next turn tries again.
          if (!(error instanceof KvError)) throw error;
          if (leftMs() <= 0 && !lost) {
            lost = true;
            events.emit({
              type: 'agent.lease_lost',
              worker: settings.id,
              reason: `not renewed in time: ${error.message}`,
            });
          }
        }
      }
    },

    /** A planned stop: with living runs the registration stays for a while, so that the next start adopts them. */
    async leave(living: number): Promise<void> {
      if (mine === null) return;
      try {
        if (living === 0) await kv.revoke(mine.lease);
        else {
          const { boot } = mark();
          const away = await goAway(kv, layout, record(), mine, times.awayTtl, remember);
          if (away !== null) runner.lease(boot + times.awayTtl - times.margin);
        }
      } catch (error) {
        // The store is away: no goodbye then. The lease ends by itself, and the next start adopts what it finds.
        if (!(error instanceof KvError)) throw error;
      }
    },

    /** Writes the registration anew, after something about this worker has changed: what changes meanwhile goes with the next try. */
    async rewrite(stop: AbortSignal): Promise<void> {
      changed = true;
      if (rewriting) return;
      rewriting = true;
      try {
        while (changed && !stop.aborted && mine !== null) {
          changed = false;
          try {
            await rewrite(kv, layout, record(), mine);
          } catch (error) {
            // The store is away or slow: the others hear of it when it is back.
            if (!(error instanceof KvError)) throw error;
            changed = true;
            await sleep(clock, times.margin, stop);
          }
        }
      } finally {
        rewriting = false;
      }
    },
  };
}
export type Presence = ReturnType<typeof createPresence>;
