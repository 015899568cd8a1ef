import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What `up` leaves in its data folder for the command line: 0600, for it holds a token. */
export interface ClientFile {
  url: string;
  token: string;
  pid: number;
}

export function readClientFile(data: string): ClientFile | null {
  try {
    const read: unknown = JSON.parse(readFileSync(join(data, 'client.json'), 'utf8'));
    if (typeof read !== 'object' || read === null || !('url' in read) || !('token' in read)) return null;
    return { url: String(read.url), token: String(read.token), pid: 'pid' in read ? Number(read.pid) : 0 };
  } catch {
    // Missing or torn: then there is none, and `up` makes it anew.
    return null;
  }
}

export function writeClientFile(data: string, client: ClientFile): void {
  const file = join(data, 'client.json');
  writeFileSync(`${file}.new`, `${JSON.stringify(client, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
