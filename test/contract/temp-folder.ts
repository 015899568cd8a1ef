import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

/** A folder of a test's own; `clean` removes it, and so does the end of a test that came to none. */
export function tempFolder(): { dir: string; file: string; clean(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'cronfleet-store-'));
  const clean = () => rmSync(dir, { recursive: true, force: true });
  after(clean);
  return { dir, file: join(dir, 'store.db'), clean };
}
