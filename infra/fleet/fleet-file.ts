import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Part {
  url: string;
  pid: number | null;
}

/** What `npm run fleet` leaves in its folder for the command line and for people: 0600, since it holds a token. */
export interface FleetFile {
  /** The first server's. */
  url: string;
  token: string;
  /** Of the process that keeps the others alive. */
  pid: number;
  servers: Part[];
  agents: { id: string; pid: number | null }[];
  etcd: (Part & { name: string })[];
  history: Part;
}

export function writeFleetFile(folder: string, fleet: FleetFile): void {
  const file = join(folder, 'fleet.json');
  writeFileSync(`${file}.new`, `${JSON.stringify(fleet, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** What an earlier fleet left in this folder, or null. */
export function readFleetFile(folder: string): FleetFile | null {
  try {
    return JSON.parse(readFileSync(join(folder, 'fleet.json'), 'utf8')) as FleetFile;
  } catch {
    // None yet, or torn by a crash: there is nothing to go by.
    return null;
  }
}

/** Every process that it names, itself left out. */
export function partsOf({ servers, agents, etcd, history }: FleetFile): number[] {
  return [...servers, ...agents, ...etcd, history].flatMap(({ pid }) => pid ?? []);
}
