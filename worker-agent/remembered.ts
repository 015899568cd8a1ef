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
        return typeof read === 'object' && read !== null && 'lease' in read && typeof read.lease === 'string'
          ? { lease: read.lease }
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
