import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { layout as layoutOf } from '#core/cluster/keys.ts';
import { oidcOf } from '#core/cluster/oidc-settings.ts';
import type { Clock } from '#core/ports/clock.ts';
import type { Events } from '#core/ports/events.ts';
import type { History } from '#core/ports/history.ts';
import type { Ids } from '#core/ports/ids.ts';
import type { Kv } from '#core/ports/kv.ts';
import { openHistory, openKv } from '#core/stores/open.ts';
import { takeFirstToken } from '../auth.ts';
import { keptClient } from './kept-client.ts';
import { type CloudSettings, readCloudSettings } from './settings.ts';
import { settingsOfNow } from './settings-of-now.ts';
import { unaryHistory, unaryKv } from './unary.ts';

export interface CloudHost {
  /** Where the settings are: a path of Parameter Store. */
  path: string;
  /** Where files may be written, for what wants certificates as files. */
  folder: string;
  clock: Clock;
  ids: Ids;
  events: Events;
}

/** Both stores, and who says who people are, as the settings of now say. Nothing is read, loaded or opened before it is needed. */
export function cloudStores({ path, folder, clock, ids, events }: CloudHost) {
  const layout = layoutOf();
  const settings = settingsOfNow({
    async read() {
      // Loading its SDK costs more than all the rest of a cold start: only who needs a store pays for it.
      const { readParameters } = await import('./parameter-store.ts');
      return readCloudSettings(path, await readParameters(path));
    },
    clock,
    events,
  });
  let firstToken: string | null = null;
  const kvUrl = (now: CloudSettings): string => {
    firstToken = now['first-token'];
    return withFiles(now, folder);
  };
  const useKv = keptClient<Kv>({
    ...{ store: 'kv', clock, events },
    url: () => settings.now().then(kvUrl),
    urlAgain: () => settings.again().then(kvUrl),
    async open(url) {
      const kv = await openKv(url, clock, ids);
      if (firstToken !== null) await takeFirstToken({ kv, layout, clock }, firstToken);
      return kv;
    },
  });
  const useHistory = keptClient<History>({
    ...{ store: 'history', clock, events },
    url: () => settings.now().then(({ history }) => history),
    urlAgain: () => settings.again().then(({ history }) => history),
    open: (url) => openHistory(url, clock),
  });
  const oidc = () => settings.now().then(oidcOf);
  return { layout, kv: unaryKv(useKv), history: unaryHistory(useHistory), oidc };
}

/** etcd's URL names files. They are named by what they hold, so a certificate that was renewed is another URL, and another client. */
function withFiles(settings: CloudSettings, folder: string): string {
  const named = (['ca', 'cert', 'key'] as const).flatMap((part) => {
    const text = settings[`kv-${part}`];
    if (text === null) return [];
    const file = join(folder, `${part}-${createHash('sha256').update(text).digest('hex').slice(0, 16)}.pem`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(file, text, { mode: 0o600 });
    return [`${part}=${encodeURIComponent(file)}`];
  });
  if (named.length === 0) return settings.kv;
  return `${settings.kv}${settings.kv.includes('?') ? '&' : '?'}${named.join('&')}`;
}
