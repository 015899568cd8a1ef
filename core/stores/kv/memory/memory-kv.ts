import type { Clock } from '#core/ports/clock.ts';
import { type Connection, Core, EmbeddedKv } from '../embedded/embedded-kv.ts';
import { KvState } from '../embedded/kv-state.ts';

/**
 * An empty store in memory that behaves like etcd, by a clock that may be virtual: deterministic, and every request
 * takes effect within the call. `connect` gives each simulated worker a connection of its own. `keepRevisions` is
 * how much past stays readable unless somebody compacts.
 */
export function memoryKv({
  clock,
  keepRevisions = 10_000,
}: {
  clock: Clock;
  keepRevisions?: number;
}): Connection {
  const keep = { revisions: keepRevisions, chars: Infinity };
  return new EmbeddedKv(new Core({ state: new KvState(), clock, keep }));
}
