import { readModule } from './module-text.ts';
import { roomOf } from './rooms.ts';
import { type Breach, type Project, resolve } from './walls.ts';

/**
 * Values that a file of what ships exports and no other file asks for: "export nothing until a second file needs it".
 * Types are left out, for they name what an exported function takes and gives. Advice, not a wall.
 */
export function findUnusedExports(project: Project): Breach[] {
  const asked = new Map<string, Set<string>>();
  const modules = new Map([...project.sources].map(([path, source]) => [path, readModule(source)]));
  for (const [path, { imports }] of modules)
    for (const { from, names } of imports) {
      const target = resolve(project, path, from) ?? from;
      const known = asked.get(target) ?? new Set();
      for (const name of names) known.add(name);
      asked.set(target, known);
    }
  const unused: Breach[] = [];
  for (const [path, { exports }] of modules) {
    const room = roomOf(path)?.name ?? '';
    if (['root', 'test', 'scripts', 'infra', 'web'].includes(room)) continue;
    const known = asked.get(path);
    if (known?.has('*')) continue;
    for (const { name, line } of exports)
      if (!known?.has(name))
        unused.push({ path, line, message: `exports ${name}, which no other file asks for` });
  }
  return unused;
}
