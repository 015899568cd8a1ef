import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, isFree } from '../free-ports.ts';

/** What listens in a fleet, by name: the process that keeps the others alive, and these; an etcd member has three. */
const names = [
  ...['keeper', 'server1', 'server2', 'history'],
  ...['m1', 'm2', 'm3'].flatMap((member) => ['client', 'peer', 'metrics'].map((what) => `${member}-${what}`)),
];

export type Ports = Readonly<Record<string, number>>;

/** Chosen once and kept in the folder: members of an etcd cluster know each other by them, and links stay good. */
export async function keptPorts(folder: string, wanted: number): Promise<Ports> {
  const file = join(folder, 'ports.json');
  const kept = readKept(file);
  if (kept !== null) return kept;
  const free = await freePorts(names.length);
  const ports = Object.fromEntries(names.map((name, at) => [name, free[at] ?? 0]));
  if (wanted > 0 && (await isFree(wanted))) ports.server1 = wanted;
  writeFileSync(file, JSON.stringify(ports));
  return ports;
}

/** Throws where somebody else listens on one of them. */
export async function checkFree(folder: string, ports: Ports): Promise<void> {
  for (const [name, port] of Object.entries(ports))
    if (name !== 'keeper' && !(await isFree(port)))
      throw new Error(
        `port ${port} (${name} of the fleet in ${folder}) is in use by another program; expected it free, or another folder (--data)`,
      );
}

function readKept(file: string): Ports | null {
  try {
    const read: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const good =
      typeof read === 'object' && read !== null && names.every((name) => Number((read as Ports)[name]) > 0);
    return good ? (read as Ports) : null;
  } catch {
    // The first start on this folder.
    return null;
  }
}
