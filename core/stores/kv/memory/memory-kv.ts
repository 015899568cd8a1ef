import type { Clock } from '#core/ports/clock.ts';
import type { Kv } from '#core/ports/kv.ts';
import { embeddedKv } from '../embedded/embedded-kv.ts';
import { KvState } from '../embedded/kv-state.ts';

/** A faithful model of etcd in this process's memory: what tests and the simulation run on. */
export function memoryKv({ clock }: { clock: Clock }): Kv {
  return embeddedKv({ state: new KvState(), clock, disk: null });
}
