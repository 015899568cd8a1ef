import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { basename, join } from 'node:path';
import type { BenchModule } from '#test/bench/bench.ts';
import { putTable, tableText } from './bench-tables.ts';
import { filesUnder, projectFolder } from './sources/project-files.ts';

// npm run bench [-- NAME...]: measures, prints and writes the README's tables, which nobody writes by hand.

const found = new Map<string, BenchModule>();
for (const file of filesUnder('test/bench').filter((path) => path.endsWith('.ts'))) {
  const module: Partial<BenchModule> = await import(join(projectFolder, file));
  if (module.bench !== undefined) found.set(basename(file, '.ts'), { bench: module.bench });
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !found.has(name));
if (unknown.length > 0 || found.size === 0) {
  console.error(
    `no such bench: ${unknown.join(', ') || 'none at all'}; there are: ${[...found.keys()].join(', ')}`,
  );
  process.exit(2);
}
const readme = join(projectFolder, 'README.md');
const failed: string[] = [];
for (const [name, { bench }] of found) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  // One after the other: two at once would measure each other.
  try {
    const table = tableText(await bench());
    console.log(`\n${table}`);
    // Read anew each time: somebody may write in it during a long bench.
    writeFileSync(readme, putTable(readFileSync(readme, 'utf8'), name, `${table}\n\n${circumstances()}`));
  } catch (error) {
    // The others measure something of their own: they go on, and its old table stays.
    console.error(`\nbench ${name} failed:`, error);
    failed.push(name);
  }
}
if (failed.length > 0) console.error(`\nfailed: ${failed.join(', ')}`);
// What a bench left open must not keep the numbers from being done with.
process.exit(failed.length > 0 ? 1 : 0);

/** Without these a number says nothing. */
function circumstances(): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: projectFolder,
    encoding: 'utf8',
  }).trim();
  const day = new Date().toISOString().slice(0, 10);
  return `${day}, ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.versions.node}, at ${commit}.`;
}
