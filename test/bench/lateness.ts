import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchTable } from './bench.ts';
import { latenessRows } from './lateness-rows.ts';
import { startMachine } from './machine.ts';

/** A hundred jobs every five seconds on one machine. */
export async function bench(): Promise<BenchTable> {
  const dir = mkdtempSync(join(tmpdir(), 'lateness-'));
  try {
    const machine = await startMachine(dir);
    try {
      const { title, rows } = await latenessRows({
        ...{ dir, mostMs: 20 },
        setJobs: (jobs) => machine.ask('POST', '/apply', { jobs }),
      });
      return { title, rows };
    } finally {
      await machine.stop();
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
}
