import type { Db } from 'mongodb';
import { MongoError } from 'mongodb';
import { Refusal } from '#core/model/refusal.ts';
import type { StoreFinding } from '#core/model/store-finding.ts';
import type { Clock } from '#core/ports/clock.ts';
import { makeLayout } from './layout.ts';
import { mongoError } from './mongo-error.ts';
import { mongoPlace } from './place.ts';

/** A worker whose clock is further off reference time, which is this server's, claims nothing. */
const mostSkewMs = 500;
/** What MongoDB itself still maintains. Older ones from 4.4 on, which the driver wants, are served as they come. */
const oldestMaintained = [7, 0] as const;

/**
 * What is wrong with the history that a URL names, for who starts on it and for `doctor`: nothing where all is well. Makes the layout, as
 * any first call does, and writes one document to see that it may. Never throws for what the server or the URL is like;
 * ends within some 20 s.
 */
export async function mongoFindings({ url, clock }: { url: string; clock: Clock }): Promise<StoreFinding[]> {
  let place: ReturnType<typeof mongoPlace>;
  try {
    place = mongoPlace(url);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [{ code: error.code, level: 'error', message: error.message }];
  }
  const db = place.client.db(place.database);
  try {
    const server = await serverFindings(db, place.text, clock);
    await makeLayout(db, place.text);
    await db.collection<{ _id: string }>('meta').replaceOne({ _id: 'probe' }, { v: 1 }, { upsert: true });
    return server;
  } catch (error) {
    return [failure(error, place.text)];
  } finally {
    await place.client.close();
  }
}

async function serverFindings(db: Db, place: string, clock: Clock): Promise<StoreFinding[]> {
  // The first answer costs a connection, the second is what a clock can be told by.
  await db.command({ hello: 1 });
  const asked = clock.now();
  const hello = await db.command({ hello: 1 });
  const answered = clock.now();
  const aheadMs = (asked + answered) / 2 - (hello.localTime as Date).getTime();
  const { version } = await db.command({ buildInfo: 1 });
  return [
    // When in its time the answer was given is not known: a slow one accuses no clock.
    ...skewFindings(aheadMs, (answered - asked) / 2, place),
    ...versionFindings(String(version), place),
  ];
}

function skewFindings(aheadMs: number, unsureMs: number, place: string): StoreFinding[] {
  if (Math.abs(aheadMs) - unsureMs <= mostSkewMs) return [];
  const off = Math.abs(aheadMs);
  const far = off < 120_000 ? `${(off / 1_000).toFixed(1)} s` : `${Math.round(off / 60_000)} min`;
  return [
    {
      code: 'history_clock_skewed',
      level: 'error',
      message: `history ${place}: this host's clock is ${far} ${aheadMs > 0 ? 'ahead of' : 'behind'} the server's, which all workers go by: nothing is claimed from here. Set both by NTP (timedatectl set-ntp true)`,
    },
  ];
}

function versionFindings(version: string, place: string): StoreFinding[] {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [needed, andMinor] = oldestMaintained;
  if (major > needed || (major === needed && minor >= andMinor)) return [];
  return [
    {
      code: 'history_version_old',
      level: 'warning',
      message: `history ${place}: is MongoDB ${version}, which is no longer maintained; update it to ${needed}.${andMinor} or later`,
    },
  ];
}

/** What kept us from seeing the rest. */
function failure(error: unknown, place: string): StoreFinding {
  if (error instanceof Refusal) return { code: error.code, level: 'error', message: error.message };
  const said = mongoError(place, 'begin', error);
  const message = said instanceof Error ? said.message : String(said);
  const code = codeOf(error);
  const advice: Record<string, string> = {
    history_unreachable:
      'Is the address right, is the server up, does a firewall stand between? Until it answers runs go on, and their records wait on the workers',
    history_version_old:
      'Update the server: MongoDB 4.4 is the oldest that can be spoken to, 7.0 the oldest maintained',
  };
  return { code, level: 'error', message: advice[code] ? `${message}. ${advice[code]}` : message };
}

function codeOf(error: unknown): string {
  if (!(error instanceof MongoError)) return 'history_unreachable';
  const codes: Record<number, string> = {
    13: 'history_read_only',
    18: 'history_credential_refused',
    8000: 'history_credential_refused',
    14031: 'history_disk_full',
  };
  const cause = error.cause instanceof MongoError ? error.cause : error;
  const isOld = [error, cause].some(({ name }) => name === 'MongoCompatibilityError');
  return isOld ? 'history_version_old' : (codes[Number(cause.code)] ?? 'history_unreachable');
}
