import type { JobStore } from '#core/cluster/job-record.ts';
import type { Layout } from '#core/cluster/keys.ts';
import type { OidcSettings } from '#core/cluster/oidc-settings.ts';
import type { Role } from '#core/cluster/records.ts';
import { payOwed } from '#core/cluster/settle.ts';
import { maxSkewMs } from '#core/decide/placement.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { StoreFinding } from '#core/model/store-finding.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { History } from '#core/ports/history.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Kv } from '#core/ports/kv.ts';
import { inTime } from './in-time.ts';

export interface SiteFile {
  body: Uint8Array<ArrayBuffer>;
  type: string;
  cacheControl: string;
  etag: string;
}

/** What stands between this app and who asks, where that lets only so much through. */
export interface Gateway {
  /** How long the answer to this request may still take, ms; `env` is what the host hands to the app with it. */
  restMs(env: unknown): number;
  /** How many raw bytes an answer may have. It goes out in one piece, when it is whole. */
  rawMax: number;
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
  /** The zone in which crontabs that name none are read; `UTC` unless said. */
  zone?: string;
  /** Undefined: answers may be long, and are streamed. */
  gateway?: Gateway;
  /** How channels and the provider are reached; undefined: they can't be from here. */
  fetch?: typeof fetch;
  /** By which provider people sign in, as is set now; undefined, or null: by none. */
  oidc?: () => Promise<OidcSettings | null>;
  /** What is wrong with the stores as they are seen from here; it may take some 20 s. Undefined: there is nothing to see. */
  storeFindings?: () => Promise<StoreFinding[]>;
}

/** Who asks, as the token says. */
export interface Caller {
  name: string;
  role: Role;
  /** null: every group. */
  groups: readonly string[] | null;
}

export type Env = { Variables: { caller: Caller; requestId: string } };

export function storeOf({ kv, layout, history, clock, events, skewMs }: AppDeps): JobStore {
  return {
    kv,
    layout,
    now: () => clock.now(),
    async owes(runs) {
      try {
        await inTime(clock, payOwed({ kv, layout, history }, runs));
      } catch (error) {
        // It stays where it is; nobody waits for that, and a keeper hands it on.
        events.emit({ type: 'server.fault', where: 'history.owed', error });
      }
    },
    trustClock() {
      const skew = skewMs === undefined ? 0 : skewMs();
      if (skew === null || Math.abs(skew) > maxSkewMs)
        throw new Refusal(
          'clock_skewed',
          `this server's clock is ${skew === null ? 'of unknown offset' : `${skew} ms off`}; expected at most ${maxSkewMs} ms`,
        );
    },
  };
}

const ranks: Record<Role, number> = { viewer: 0, operator: 1, editor: 2, admin: 3 };

export function hasRole(caller: Caller, role: Role): boolean {
  return ranks[caller.role] >= ranks[role];
}

export function mayTouch(caller: Caller, group: string): boolean {
  return caller.groups === null || caller.groups.includes(group);
}

/** Refusal `forbidden` for another group than the token's. */
export function checkGroup(caller: Caller, group: string): void {
  if (!mayTouch(caller, group)) throw new Refusal('forbidden', `group: this token is not for group ${group}`);
}

/** What concerns everybody is not for a token of some groups. Refusal `forbidden`. */
export function checkEveryGroup(caller: Caller): void {
  if (caller.groups !== null)
    throw new Refusal('forbidden', 'this concerns every group; expected a token that is not for some only');
}

/** As a filter of lists: only the caller's groups. */
export function groupsOf(caller: Caller): { groups?: readonly string[] } {
  return caller.groups === null ? {} : { groups: caller.groups };
}
