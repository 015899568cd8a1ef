import { refuse } from '#core/model/refusal.ts';
import type { StoreFinding } from '#core/model/store-finding.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { History } from '#core/ports/history.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Kv } from '#core/ports/kv.ts';

/**
 * The two stores that URLs name, each driver loaded when it is first asked for. Refusals `store_url_invalid`, and whatever no
 * waiting would mend (`store_unreachable`, `store_credential_refused`, those of files); a server that is away is none.
 */
export async function openKv(url: string, clock: Clock, ids: Pick<Ids, 'chance'>): Promise<Kv> {
  if (isEtcd(url))
    return (await import('./kv/etcd/etcd-kv.ts')).openEtcd(url, { clock, chance: () => ids.chance() });
  if (url === 'memory:') return (await import('./kv/memory/memory-kv.ts')).memoryKv({ clock });
  const file = fileOf(url);
  if (file === null) throw refuse('store_url_invalid', 'kv', url, 'sqlite:FILE or etcd://HOST:PORT,...');
  return (await import('./kv/sqlite/sqlite-kv.ts')).sqliteKv({ file, clock });
}

export async function openHistory(url: string, clock: Clock): Promise<History> {
  if (isMongo(url)) return (await import('./history/mongo/mongo-history.ts')).mongoHistory({ url, clock });
  const file = fileOf(url);
  if (file === null)
    throw refuse('store_url_invalid', 'history', url, 'sqlite:FILE or mongodb://HOST/DATABASE');
  return (await import('./history/sqlite/sqlite-history.ts')).sqliteHistory({ file, clock });
}

/**
 * What is wrong with the store of jobs that a URL names, for who starts on it and for `doctor`. It may take some 10 s. `part`: as whom
 * the URL's credential is to serve, where that is known.
 */
export async function kvFindings(
  url: string,
  clock: Clock,
  ids: Pick<Ids, 'chance'>,
  part: 'worker' | 'api' | null = null,
): Promise<StoreFinding[]> {
  if (!isEtcd(url)) return [];
  const world = { clock, chance: () => ids.chance() };
  return (await import('./kv/etcd/etcd-kv.ts')).findingsOf(url, world, part);
}

/** What is wrong with the history that a URL names, for who starts on it and for `doctor`. It may take some 20 s. */
export async function historyFindings(url: string, clock: Clock): Promise<StoreFinding[]> {
  if (!isMongo(url)) return [];
  return (await import('./history/mongo/findings.ts')).mongoFindings({ url, clock });
}

const isEtcd = (url: string) => /^etcds?:/.test(url);
const isMongo = (url: string) => /^mongodb(\+srv)?:/.test(url);

function fileOf(url: string): string | null {
  return /^sqlite:(.+)$/.exec(url)?.[1] ?? null;
}
