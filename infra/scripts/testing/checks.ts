import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findUnusedExports } from '../sources/exports.ts';
import { projectFolder, readProject } from '../sources/project-files.ts';

export interface Check {
  name: string;
  ok: boolean;
  /** What the tool said; shown where it is not ok. */
  output: string;
}

const lineLimit = 350;

/** Types, lint and format, the walls between rooms, and a lock file that works with whatever registry somebody uses. */
export async function runChecks(stop: AbortSignal): Promise<Check[]> {
  return await Promise.all([
    run('types', stop, 'tsc', '-p', '.'),
    ...['web/tsconfig.json']
      .filter((path) => readsAs(path))
      .map((path) => run(`types of ${path}`, stop, 'tsc', '-p', path)),
    run('lint and format', stop, 'biome', 'check', '--error-on-warnings', '.'),
    run('room walls', stop, 'node', '--test', '--test-reporter=dot', 'test/rooms.test.ts'),
    checkLock(),
  ]);
}

/** What a reader should look at and no build fails for: long files, and exports that nobody asks for. */
export function findAdvice(): string[] {
  const project = readProject();
  const long = [...project.sources]
    .map(([path, source]) => ({ path, lines: source.split('\n').length - 1 }))
    .filter(({ lines }) => lines > lineLimit)
    .map(({ path, lines }) => `${path}: ${lines} lines; has it two reasons to change?`);
  return [
    ...long,
    ...findUnusedExports(project).map(({ path, line, message }) => `${path}:${line}: ${message}`),
  ];
}

function checkLock(): Check {
  const packages: Record<string, { resolved?: string }> = JSON.parse(
    readFileSync(join(projectFolder, 'package-lock.json'), 'utf8'),
  ).packages;
  const named = Object.entries(packages).flatMap(([path, { resolved }]) =>
    resolved === undefined ? [] : [`${path}: ${resolved}`],
  );
  return { name: 'lock file names no registry', ok: named.length === 0, output: named.join('\n') };
}

function readsAs(path: string): boolean {
  try {
    readFileSync(join(projectFolder, path));
    return true;
  } catch {
    // That part has no settings of its own.
    return false;
  }
}

function run(name: string, signal: AbortSignal, command: string, ...args: string[]): Promise<Check> {
  return new Promise((resolve) => {
    const child = spawn(join(projectFolder, 'node_modules/.bin', command), args, {
      cwd: projectFolder,
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    child.on('error', (error) => resolve({ name, ok: false, output: `${error.message}\n${output}` }));
    child.on('close', (code) => resolve({ name, ok: code === 0, output: output.trim() }));
  });
}
