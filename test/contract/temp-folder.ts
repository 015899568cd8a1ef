import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of a test's own; `clean` removes it. */
export function tempFolder(): { dir: string; file: string; clean(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-store-'));
  return { dir, file: join(dir, 'store.db'), clean: () => rmSync(dir, { recursive: true, force: true }) };
}
