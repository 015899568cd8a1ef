import { Refusal } from '#core/model/refusal.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import { KvError } from '#core/ports/kv.ts';
import { elapsed } from './elapsed.ts';

/** A process may be frozen between two requests: what a connection has been through meanwhile nobody can tell. */
const idleMs = 60_000;
/** After this long the first call may find its connection gone. */
const briefMs = 1_000;

export interface Closable {
  close(): Promise<void>;
}

interface Held<C> {
  url: string;
  opening: Promise<C>;
  users: number;
  idle: () => number;
  retired: boolean;
}

/**
 * A client of a store that is opened when first used, and anew when it stood idle for over a minute, when its URL has changed, when
 * the store refuses its credential while another one is set by now, and when its connection turns out to have gone while nobody used it.
 */
export function keptClient<C extends Closable>({
  store,
  url,
  urlAgain,
  open,
  clock,
  events,
}: {
  store: 'kv' | 'history';
  url(): Promise<string>;
  /** The URL as it is set by now, asked for after a credential was refused. */
  urlAgain(): Promise<string>;
  open(url: string): Promise<C>;
  clock: Pick<Clock, 'now' | 'boot'>;
  events: Events;
}) {
  let held: Held<C> | null = null;

  function retire(one: Held<C>, why: 'idle' | 'changed' | 'cut' | 'failed'): void {
    if (held === one) held = null;
    one.retired = true;
    if (why !== 'failed') events.emit({ type: 'store.rebuilt', store, why });
    if (one.users === 0) letGo(one);
  }

  function letGo({ opening }: Held<C>): void {
    // Nobody waits for it: a goodbye over a dead connection may take long, and one that fails changes nothing.
    opening.then((client) => client.close()).catch(() => {});
  }

  async function once<R>(wanted: string, work: (client: C) => Promise<R>): Promise<R> {
    if (held !== null && held.url !== wanted) retire(held, 'changed');
    if (held !== null && held.users === 0 && held.idle() > idleMs) retire(held, 'idle');
    held ??= { url: wanted, opening: open(wanted), users: 0, idle: elapsed(clock), retired: false };
    const mine = held;
    mine.users += 1;
    try {
      const client = await mine.opening.catch((error: unknown) => {
        if (!mine.retired) retire(mine, 'failed');
        throw error;
      });
      return await work(client);
    } finally {
      mine.users -= 1;
      mine.idle = elapsed(clock);
      if (mine.retired && mine.users === 0) letGo(mine);
    }
  }

  return async <R>(work: (client: C) => Promise<R>, { repeatable = false } = {}): Promise<R> => {
    const wanted = await url();
    // A freeze shorter than a minute, too, may have cost the connection, which nobody notices before it is used.
    const stood = held !== null && held.users === 0 && held.idle() > briefMs ? held : null;
    try {
      return await once(wanted, work);
    } catch (error) {
      // What was refused was surely not done, so it may be done again.
      if (isRefusedCredential(error)) {
        const now = await urlAgain();
        if (now === wanted) throw error;
        return await once(now, work);
      }
      if (stood === null || !isAway(error, repeatable)) throw error;
      if (!stood.retired) retire(stood, 'cut');
      return await once(wanted, work);
    }
  };
}
export type Use<C> = ReturnType<typeof keptClient<C & Closable>>;

/** Whether the store was not reached, and the same may be asked once more: it was surely not done, or changes nothing. */
function isAway(error: unknown, repeatable: boolean): boolean {
  return (
    error instanceof KvError && (error.code === 'unavailable' || (error.code === 'unknown' && repeatable))
  );
}

/** MongoDB: Unauthorized, AuthenticationFailed, and Atlas's own. */
const mongoCodes = new Set<unknown>([13, 18, 8000]);

/** Whether a store lets this credential in no more. */
function isRefusedCredential(error: unknown): boolean {
  if (error instanceof Refusal) return error.code === 'store_credential_refused';
  if (error instanceof KvError) return error.code === 'forbidden';
  if (!(error instanceof Error)) return false;
  return ('code' in error && mongoCodes.has(error.code)) || isRefusedCredential(error.cause);
}
