import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';

/** Commands of the runbook, as they stand between two fences. */
export interface Block {
  /** The heading above. */
  section: string;
  /** What follows the language: where it is run. */
  where: string;
  text: string;
  line: number;
}

/** Every fenced block of the runbook, in order. Throws on one that does not say where it is run. */
export function readRunbook(): Block[] {
  const blocks: Block[] = [];
  let section = '';
  let open: Block | null = null;
  const lines = readFileSync(join(projectFolder, 'infra/runbook.md'), 'utf8').split('\n');
  for (const [at, line] of lines.entries()) {
    if (open !== null && line === '```') {
      blocks.push(open);
      open = null;
    } else if (open !== null) open.text += `${line}\n`;
    else if (line.startsWith('```')) {
      const [, where] = /^```sh ([a-z]+\d?)$/.exec(line) ?? [];
      if (where === undefined)
        throw new Error(`runbook.md:${at + 1}: ${line}: expected sh, and where it is run`);
      open = { section, where, text: '', line: at + 1 };
    } else section = /^#+ (.+)$/.exec(line)?.[1] ?? section;
  }
  if (open !== null) throw new Error(`runbook.md:${open.line}: the fence does not end`);
  return blocks;
}
