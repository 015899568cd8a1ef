import type { JobStore } from '#core/cluster/jobs.ts';
import type { Layout } from '#core/cluster/keys.ts';
import type { Role } from '#core/cluster/records.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { History } from '#core/ports/history.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Kv } from '#core/ports/kv.ts';

export interface SiteFile {
  body: Uint8Array<ArrayBuffer>;
  type: string;
  cacheControl: string;
  etag: string;
}

/** Everything the API touches, handed in: it keeps no state of its own. */
export interface AppDeps {
  kv: Kv;
  history: History;
  layout: Layout;
  clock: Clock;
  ids: Ids;
  events: Events;
  version: string;
  /** The site's files by path, or null; undefined: no site here. */
  site?: (path: string) => SiteFile | null;
  /** Offset of this host's clock from reference time, ms; null: unknown. */
  skewMs?: () => number | null;
  /** Host headers that are answered (against DNS rebinding); undefined: any. */
  allowedHosts?: () => readonly string[];
  /** Prometheus text of this process. */
  metrics?: () => Promise<string>;
}

/** Who asks, as the token says. */
export interface Caller {
  name: string;
  role: Role;
  /** null: every group. */
  groups: readonly string[] | null;
}

export type Env = { Variables: { caller: Caller; requestId: string } };

export function storeOf({ kv, layout, clock }: Pick<AppDeps, 'kv' | 'layout' | 'clock'>): JobStore {
  return { kv, layout, now: () => clock.now() };
}

const ranks: Record<Role, number> = { viewer: 0, operator: 1, editor: 2, admin: 3 };

export function hasRole(caller: Caller, role: Role): boolean {
  return ranks[caller.role] >= ranks[role];
}

export function mayTouch(caller: Caller, group: string): boolean {
  return caller.groups === null || caller.groups.includes(group);
}
