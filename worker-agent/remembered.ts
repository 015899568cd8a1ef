import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentDeps } from './context.ts';

/** What an agent remembers of itself, in its data folder: agent.json, replaced as a whole. */
export function rememberedIn(dir: string): AgentDeps['memory'] {
  const file = join(dir, 'agent.json');
  return {
    async load() {
      try {
        const read: unknown = JSON.parse(await readFile(file, 'utf8'));
        const leases = typeof read === 'object' && read !== null && 'leases' in read ? read.leases : null;
        return Array.isArray(leases) && leases.every((lease) => typeof lease === 'string')
          ? { leases }
          : null;
      } catch {
        // Missing at the first start; torn by a crash it tells no more than that, and the old lease ends by itself.
        return null;
      }
    },
    async save(value) {
      await writeFile(`${file}.new`, JSON.stringify(value), { mode: 0o600 });
      await rename(`${file}.new`, file);
    },
  };
}
