import {
  type FollowEvent,
  type Kv,
  KvError,
  type LeaseId,
  type Range,
  type RangeOptions,
  type RangeResult,
  type Revision,
  type Txn,
  type TxnResult,
} from '#core/ports/kv.ts';
import type { Connection } from '#core/stores/kv/embedded/embedded-kv.ts';
import type { Chance } from './chance.ts';
import type { Host, Life } from './host.ts';

/** How a network treats requests: probabilities per request, and times in ms. */
export interface Weather {
  latencyMs: number;
  /** How long what an agent follows takes to reach it, at most. */
  hearMs: number;
  /** The request never arrives: surely not applied, and said so. */
  refused: number;
  /** The request never arrives, and nobody can tell. */
  lost: number;
  /** It is applied, and the answer is lost. */
  replyLost: number;
  /** It times out and is applied afterwards. */
  late: number;
  /** It is applied twice; the first answer counts. */
  doubled: number;
  /** Nobody answers at all. */
  down: boolean;
}

export const calm: Weather = {
  latencyMs: 3,
  hearMs: 0,
  refused: 0,
  lost: 0,
  replyLost: 0,
  late: 0,
  doubled: 0,
  down: false,
};

/** A client's own deadline for a request. */
const deadlineMs = 1_500;

/** What a test may do to requests on their way: re-create a classic mistake. */
export type Tamper = (txn: Txn, kv: Kv) => Txn | Promise<Txn>;

/** What a test makes of what an agent is told: null tells it nothing. `resumed`: its stream had been broken, and this is what it missed. */
export type Hears = (
  event: FollowEvent,
  at: { host: Host; resumed: boolean; first: boolean },
) => FollowEvent | null;

function never<T>(): Promise<T> {
  return Promise.reject(new KvError('unknown', 'no answer in time'));
}

/** One agent's way to the store: slow, lossy, and cut off with its life. */
export class SimKv implements Kv {
  readonly #life: Life;
  /** Requests go to the store itself: what is under way arrives though its sender is dead. */
  readonly #store: Kv;
  /** What this agent follows comes through here, and can be held up. */
  readonly #connection: Connection;
  readonly #weather: Weather;
  readonly #chance: Chance;
  readonly #tamper: Tamper | null;
  /** Answers a request of unknown outcome as if it had been refused: the mistake of giving up. */
  readonly #givesUp: boolean;
  readonly #hears: Hears | null;
  #resumes = false;

  constructor(options: {
    life: Life;
    store: Connection;
    connection: Connection;
    weather: Weather;
    chance: Chance;
    tamper?: Tamper | undefined;
    givesUp?: boolean | undefined;
    hears?: Hears | undefined;
  }) {
    this.#life = options.life;
    this.#store = options.store;
    this.#connection = options.connection;
    this.#weather = options.weather;
    this.#chance = options.chance;
    this.#tamper = options.tamper ?? null;
    this.#givesUp = options.givesUp ?? false;
    this.#hears = options.hears ?? null;
    options.life.onEnd(() => void options.connection.close());
  }

  #call<T>(apply: () => Promise<T>, writes: boolean): Promise<T> {
    const life = this.#life;
    const { world, link } = life.host;
    const { latencyMs, refused, lost, replyLost, late, doubled, down } = this.#weather;
    const chance = this.#chance;
    return new Promise((resolve, reject) => {
      life.step();
      if (life.dead) return;
      const way = () => chance.between(0, latencyMs * 2);
      const unknown = () => reject(new KvError('unknown', 'no answer in time'));
      const timeOut = () => world.after(deadlineMs, () => life.deliver(unknown));
      let drawn = chance.chance();
      const odds = [refused, lost, replyLost, writes ? late : 0, writes ? doubled : 0];
      const met = odds.findIndex((odd) => {
        drawn -= odd;
        return drawn < 0;
      });
      const fate = down || link === 'cut' ? chance.between(0, 1) : link === 'mute' ? 2 : met;
      const arrives = (fn: () => void) =>
        world.after(way(), () =>
          life.deliver(() => {
            life.step();
            if (!life.dead) fn();
          }),
        );
      const answered = (answer: Promise<T>) =>
        answer.then(
          (value) => void arrives(() => resolve(value)),
          (error: unknown) => void arrives(() => reject(error)),
        );
      const nothing = () => {};
      if (fate === 0)
        world.after(way(), () => life.deliver(() => reject(new KvError('unavailable', 'not reached'))));
      else if (fate === 1) timeOut();
      else if (fate === 2) {
        world.after(way(), () => void apply().then(nothing, nothing));
        timeOut();
      } else if (fate === 3) {
        world.after(deadlineMs + chance.between(0, 4_000), () => void apply().then(nothing, nothing));
        timeOut();
      } else if (fate === 4) {
        world.after(way(), () => void answered(apply()));
        world.after(latencyMs * 2 + chance.between(0, 3_000), () => void apply().then(nothing, nothing));
      } else world.after(way(), () => void answered(apply()));
    });
  }

  range(range: Range, options?: RangeOptions): Promise<RangeResult> {
    return this.#call(() => this.#store.range(range, options), false);
  }

  async txn(txn: Txn): Promise<TxnResult> {
    const sent = this.#tamper === null ? txn : await this.#tamper(txn, this.#store);
    try {
      return await this.#call(() => this.#store.txn(sent), true);
    } catch (error) {
      if (!this.#givesUp || !(error instanceof KvError) || error.code !== 'unknown') throw error;
      return { succeeded: false, revision: '0', results: [] };
    }
  }

  grant(ttlMs: number): Promise<LeaseId> {
    return this.#call(() => this.#store.grant(ttlMs), false);
  }

  renew(lease: LeaseId): Promise<number> {
    const { host } = this.#life;
    return this.#call(() => (host.renews ? this.#store.renew(lease) : never()), false);
  }

  revoke(lease: LeaseId): Promise<void> {
    return this.#call(() => this.#store.revoke(lease), false);
  }

  async follow(prefix: string, stop: AbortSignal, see: (event: FollowEvent) => void): Promise<void> {
    const life = this.#life;
    let first = true;
    let heardAt = 0;
    await new Promise<void>((resolve, reject) => {
      this.#connection
        .follow(prefix, stop, (told) => {
          const at = { host: life.host, resumed: this.#resumes, first };
          const event = this.#hears === null ? told : this.#hears(told, at);
          first = false;
          if (event === null) return;
          // It takes its time, too, and nothing overtakes what comes before it.
          const { world } = life.host;
          heardAt = Math.max(heardAt, world.time + this.#chance.between(0, this.#weather.hearMs));
          world.after(heardAt - world.time, () =>
            life.deliver(() => {
              if (stop.aborted) return;
              try {
                see(event);
              } catch (error) {
                reject(error);
              }
            }),
          );
        })
        .then(
          () => life.deliver(resolve),
          (error: unknown) => life.deliver(() => reject(error)),
        );
    });
  }

  hold(): () => void {
    const release = this.#connection.hold();
    return () => {
      this.#resumes = true;
      release();
      this.#life.host.world.after(0, () => {
        this.#resumes = false;
      });
    };
  }

  compact(revision: Revision): Promise<void> {
    return this.#store.compact(revision);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
