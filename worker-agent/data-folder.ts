import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Refusal } from '#core/model/refusal.ts';
import { type Layout, openDatabase } from '#core/stores/sqlite/open-database.ts';
import { agentId, firstLine } from './host-facts.ts';
import { isCode, isDiskFull } from './runner/faults.ts';

/** SQLite's locks are let go by the kernel, however their holder ends. */
const lock: Layout = { what: 'the data folder of an agent, by its', applicationId: 0x63_72_66_6c, steps: [] };

export interface DataFolder {
  path: string;
  /** This agent's id: as set, or as it was before, or the host's name. */
  id: string;
  close(): void;
}

/**
 * An agent's own folder, which nobody else may have meanwhile: two agents on one spool, or one registration remembered by two, would undo each
 * other. Refusal `store_in_use`.
 */
export function openDataFolder(path: string, given: { id: string | null; host: string }): DataFolder {
  makeDataFolder(path);
  const held = openDatabase(join(path, 'agent.lock'), lock, { exclusive: true });
  const idFile = join(path, 'agent-id');
  const id = given.id ?? agentId(() => firstLine(idFile), given.host);
  writeFileSync(idFile, `${id}\n`, { mode: 0o600 });
  return { path, id, close: () => held.close() };
}

/** Makes the folder, and those above it, where they are missing. Refusal `data_unusable`. */
export function makeDataFolder(path: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.unshift(at);
  try {
    // One by one: Node's recursive way never ends where a folder takes no new ones and says that it isn't there (/proc).
    for (const folder of missing) makeFolder(folder);
    if (!statSync(path).isDirectory()) throw new Error('it is no folder');
  } catch (error) {
    if (isDiskFull(error) || !(error instanceof Error)) throw error;
    throw new Refusal(
      'data_unusable',
      `--data ${path}: can't be used (${error.message}); expected a folder that this user may write to, or may make`,
    );
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Somebody else who starts has made it meanwhile; a link to nowhere is there and no folder.
    if (!isCode(error, 'EEXIST') || !existsSync(path)) throw error;
  }
}

/** What is started on a full disk says so in one line: Refusal `disk_full`. */
export async function sayingDiskFull<T>(path: string, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    const said = error instanceof Error ? error.message : error;
    throw new Refusal(
      'disk_full',
      `--data ${path}: its disk is full (${said}); make room, or choose another folder`,
    );
  }
}
