import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal } from '#core/model/refusal.ts';
import { type Layout, openDatabase } from '#core/stores/sqlite/open-database.ts';
import { agentId, firstLine } from './host-facts.ts';
import { isDiskFull } from './runner/faults.ts';

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
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const held = openDatabase(join(path, 'agent.lock'), lock, { exclusive: true });
  const idFile = join(path, 'agent-id');
  const id = given.id ?? agentId(() => firstLine(idFile), given.host);
  writeFileSync(idFile, `${id}\n`, { mode: 0o600 });
  return { path, id, close: () => held.close() };
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
