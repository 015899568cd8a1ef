import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Events } from '#core/ports/events.ts';
import type { AgentDeps } from './context.ts';
import { isDiskFull } from './runner/faults.ts';

const Remembered = v.object({
  leases: v.array(v.string()),
  since: v.number(),
  labels: v.record(v.string(), v.string()),
  // Left out by an earlier version.
  incarnations: v.optional(v.array(v.string()), []),
  boot: v.optional(v.string(), ''),
});

/** What an agent remembers of itself, in its data folder: agent.json, replaced as a whole. `boot`: which start of the host this is. */
export function rememberedIn(dir: string, boot: string, events: Events): AgentDeps['memory'] {
  const file = join(dir, 'agent.json');
  return {
    async load() {
      try {
        const read = v.safeParse(Remembered, JSON.parse(await readFile(file, 'utf8')));
        if (!read.success) return null;
        const { boot: then, ...known } = read.output;
        return then === boot ? known : { ...known, incarnations: [] };
      } catch {
        // Missing at the first start; torn by a crash it tells no more than that, and the old lease ends by itself.
        return null;
      }
    },
    async save(value) {
      try {
        const next = await open(`${file}.new`, 'w', 0o600);
        try {
          await next.writeFile(JSON.stringify({ ...value, boot } satisfies v.InferInput<typeof Remembered>));
          // Gone with the power, a lease of ten minutes would be nobody's to take back.
          await next.sync();
        } finally {
          await next.close();
        }
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
