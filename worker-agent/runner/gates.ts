import type { Clock } from '#core/ports/clock.ts';
import type { Ids } from '#core/ports/ids.ts';
import { Fifos } from './fifos.ts';
import { GatePipe } from './gate-pipe.ts';

/** A `go` is of no use once every wrapper of its gate has read it. */
const goStaysMs = 60_000;

interface Gate {
  pipe: Promise<GatePipe>;
  /** The same, once it is open. */
  standing: GatePipe | null;
  /** Wrappers that wait at it, and those being armed for it. */
  users: number;
}

/** The pipes at which armed wrappers wait, by the gate's name. */
export class Gates {
  readonly #open = new Map<string, Gate>();
  readonly #forgetting = new Map<GatePipe, () => void>();
  readonly #fifos: Fifos;
  readonly #clock: Clock;

  constructor(dir: string, clock: Clock, ids: Ids) {
    this.#fifos = new Fifos(dir, ids);
    this.#clock = clock;
  }

  /** For one more wrapper; each `enter` that resolved is followed by one `leave`, or by the gate's `take`. */
  async enter(name: string): Promise<GatePipe> {
    let gate = this.#open.get(name);
    if (gate === undefined) {
      gate = { pipe: this.#fifos.take().then(GatePipe.open), standing: null, users: 0 };
      this.#open.set(name, gate);
    }
    gate.users += 1;
    try {
      gate.standing = await gate.pipe;
      return gate.standing;
    } catch (error) {
      // What could not be opened is tried anew for the next one.
      if (this.#open.get(name) === gate) this.#open.delete(name);
      throw error;
    }
  }

  /** A wrapper that waits no more; the last one closes the gate. */
  leave(name: string, pipe: GatePipe): void {
    const gate = this.#open.get(name);
    // Released since: this name may be another's by now.
    if (gate === undefined || gate.standing !== pipe) return;
    gate.users -= 1;
    if (gate.users > 0) return;
    this.#open.delete(name);
    pipe.close();
  }

  /** Takes the gate out, to be released; null: nobody waits at it. */
  async take(name: string): Promise<GatePipe | null> {
    const gate = this.#open.get(name);
    this.#open.delete(name);
    return (await gate?.pipe) ?? null;
  }

  /** Removes the `go` of a released pipe in a while. */
  forgetLater(pipe: GatePipe): void {
    const cancel = this.#clock.after(goStaysMs, () => {
      this.#forgetting.delete(pipe);
      pipe.forget();
    });
    this.#forgetting.set(pipe, cancel);
  }

  /** Whoever waits ends without a start; what has been released may still read its `go`. */
  async close(): Promise<void> {
    for (const cancel of this.#forgetting.values()) cancel();
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { pipe } of open) (await pipe.catch(() => null))?.close();
    await this.#fifos.close();
  }
}
