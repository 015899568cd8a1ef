import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Events } from '#core/ports/events.ts';
import type { AgentDeps } from './context.ts';
import { isDiskFull } from './runner/faults.ts';

const Remembered = v.object({
  leases: v.array(v.string()),
  since: v.number(),
  labels: v.record(v.string(), v.string()),
});

/** What an agent remembers of itself, in its data folder: agent.json, replaced as a whole. */
export function rememberedIn(dir: string, events: Events): AgentDeps['memory'] {
  const file = join(dir, 'agent.json');
  return {
    async load() {
      try {
        const read = v.safeParse(Remembered, JSON.parse(await readFile(file, 'utf8')));
        return read.success ? read.output : null;
      } catch {
        // Missing at the first start; torn by a crash it tells no more than that, and the old lease ends by itself.
        return null;
      }
    },
    async save(value) {
      try {
        await writeFile(`${file}.new`, JSON.stringify(value), { mode: 0o600 });
        await rename(`${file}.new`, file);
        return true;
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        events.emit({ type: 'disk.full', path: file, error });
        return false;
      }
    },
  };
}
