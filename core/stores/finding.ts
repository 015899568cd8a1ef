import type { Kv } from '#core/ports/kv.ts';

/** What was found of a store's servers. */
export interface StoreFinding {
  /** Stable, for logs and tests: `etcd_ok`, `etcd_nospace`, ... */
  code: string;
  /** `bad`: it does not work, or nothing would start. `note`: good to know, and may become worse. */
  level: 'ok' | 'note' | 'bad';
  what: string;
  /** What to do about it; '' where there is nothing to do. */
  advice: string;
}

/** A Kv whose servers can be looked at, where it has any. Never rejects for what a server is or says. */
export type InspectableKv = Kv & { findings?(): Promise<StoreFinding[]> };
