import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readClientFile } from '../client-file.ts';
import { type Api, apiClient, Unreachable } from './api-client.ts';
import { Usage } from './command.ts';

export interface ServerNames {
  url?: string | undefined;
  token?: string | undefined;
  data: string;
}

/** Neither a flag, a variable nor a folder of `up` names a server. */
export class NoServerKnown extends Unreachable {}

/**
 * The server that a command asks: what flags or variables name, else what `up` or the local fleet left in its folder. A token from there
 * goes to that server only, whatever URL is named.
 */
export function findServer({ url, token, data }: ServerNames, fetcher: typeof fetch): Api {
  const up = readClientFile(data);
  const left = up ?? fleetIn(data) ?? fleetIn(join(data, 'fleet'));
  const where = (url ?? left?.url)?.replace(/\/+$/, '');
  if (where === undefined)
    throw new NoServerKnown(
      `no server is known: nothing was left in ${data}. Start one with: cronfleet up (npm start), or name one: CRONFLEET_URL and CRONFLEET_TOKEN`,
    );
  if (!/^https?:\/\/[^/]/.test(where))
    throw new Usage(`${where} is no URL; expected one such as http://127.0.0.1:8787`);
  const pass = token ?? (left?.url === where ? left.token : undefined);
  if (pass === undefined)
    throw new Unreachable(
      `no token is known for ${where}: set CRONFLEET_TOKEN (cronfleet token create NAME --role R makes one)`,
    );
  return apiClient(
    where,
    pass,
    fetcher,
    up?.url === where && pass === up.token ? otherThere(where, data) : null,
  );
}

/** Why a token that `up` left may be refused where `up` was: another took its port. */
function otherThere(url: string, data: string): string {
  const folder = join(data, 'fleet');
  const whose =
    fleetIn(folder)?.url === url
      ? `that of npm run fleet, it seems: CRONFLEET_DATA=${folder}`
      : 'CRONFLEET_DATA names the folder of the one that is meant, CRONFLEET_URL and CRONFLEET_TOKEN a server';
  return `${url} does not know the token that cronfleet up (npm start) left in ${data}: another cronfleet answers there (${whose}), or it was revoked`;
}

/** What the local fleet of several processes leaves: its first server. */
function fleetIn(folder: string): { url: string; token: string } | null {
  try {
    const read: unknown = JSON.parse(readFileSync(join(folder, 'fleet.json'), 'utf8'));
    if (typeof read !== 'object' || read === null || !('url' in read) || !('token' in read)) return null;
    return { url: String(read.url), token: String(read.token) };
  } catch {
    // Missing or torn: then no fleet is known there.
    return null;
  }
}
