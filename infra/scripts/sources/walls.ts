import { posix } from 'node:path';
import { type Import, type ModuleText, readModule } from './module-text.ts';
import { homeOf, type Room, roomOf, siteMayKnow } from './rooms.ts';
import type { Token } from './tokens.ts';

export interface Breach {
  path: string;
  line: number;
  message: string;
}

/** What is to be judged, as data: so that a test can plant what no commit should hold. Paths are from the project's folder. */
export interface Project {
  /** Path to text, for every source file. */
  sources: ReadonlyMap<string, string>;
  /** Whether a file is there that is no source: a style sheet, a JSON file. */
  exists(path: string): boolean;
  packages: { imports: Record<string, string>; dependencies: string[]; devDependencies: string[] };
}

/** Every place where a file reaches through a wall of DESIGN's section 2, or imports what is not there. */
export function findBreaches(project: Project): Breach[] {
  const breaches: Breach[] = [];
  for (const [path, source] of project.sources) {
    const room = roomOf(path);
    const breach = (line: number, message: string) => breaches.push({ path, line, message });
    if (room === undefined) {
      breach(1, 'lies in no room: see the table in infra/scripts/sources/rooms.ts');
      continue;
    }
    const module = readModule(source);
    for (const one of module.imports) {
      const wrong = judgeImport(project, path, room, one);
      if (wrong !== undefined) breach(one.line, wrong);
    }
    if (!room.meetsWorld)
      for (const { line, what } of meetings(module)) breach(line, `${what}: take it as an argument`);
    // The tests and scripts load what they find in a folder; anywhere else the walls would not see what comes in.
    if (room.packages !== 'dev')
      for (const { line } of module.computed) breach(line, 'imports what only run time knows');
  }
  return breaches;
}

function judgeImport(project: Project, path: string, room: Room, one: Import): string | undefined {
  const { from } = one;
  if (from.startsWith('node:'))
    return room.usesNode ? undefined : `${room.name} runs in browsers too and may not import ${from}`;
  const target = resolve(project, path, from);
  if (target === undefined) return judgePackage(project, room, one);
  if (!project.sources.has(target) && !project.exists(target))
    return `imports ${from}, which is not there (${target})`;
  if (from.startsWith('.') && homeOf(target) !== homeOf(path))
    return `reaches ${target} by a relative path: across rooms use its # alias`;
  const other = roomOf(target);
  if (other === undefined) return `imports ${target}, which lies in no room`;
  if (other === room || room.knows.includes(other.name)) return undefined;
  if (!room.knowsTypes?.includes(other.name)) return `${room.name} may not know ${other.name} (${target})`;
  if (!one.isType) return `${room.name} may know only types of ${other.name} (${target}): write import type`;
  if (room.name === 'web' && target !== siteMayKnow)
    return `web may know only ${siteMayKnow} of functions, not ${target}`;
  return undefined;
}

function judgePackage(project: Project, room: Room, { from, isType }: Import): string | undefined {
  const name = from.split('/', from.startsWith('@') ? 2 : 1).join('/');
  const { dependencies, devDependencies } = project.packages;
  const isDev = devDependencies.includes(name) || devDependencies.includes(`@types/${name}`);
  if (!dependencies.includes(name) && !isDev) return `imports ${name}, which package.json does not name`;
  if (room.packages === 'dev') return undefined;
  if (!dependencies.includes(name) && !isType) return `ships, and imports ${name}, which is a devDependency`;
  if (room.packages !== undefined && !room.packages.includes(name))
    return `${room.name} may not import the package ${name} (${room.packages.join(', ') || 'none'} it may)`;
  return undefined;
}

/** The project's path that an import in `path` means; undefined for a package. */
export function resolve(project: Project, path: string, from: string): string | undefined {
  if (from.startsWith('.')) return posix.join(posix.dirname(path), from);
  for (const [alias, folder] of Object.entries(project.packages.imports)) {
    const start = alias.slice(0, -1);
    if (from.startsWith(start)) return posix.join(folder.slice(0, -1), from.slice(start.length));
  }
  return undefined;
}

/** Properties that ask the world: `Date.now`, `process.env`. */
const asks: Readonly<Record<string, readonly string[]>> = {
  Date: ['now'],
  Math: ['random'],
  performance: ['now', 'timeOrigin'],
  process: ['env', 'hrtime', 'uptime', 'exit'],
  crypto: ['randomUUID', 'getRandomValues', 'randomBytes', 'randomInt'],
  AbortSignal: ['timeout'],
};
const timers = ['setTimeout', 'setInterval'];
const chances = ['randomUUID', 'randomBytes', 'randomInt', 'getRandomValues'];
const worldModules: Readonly<Record<string, readonly string[]>> = {
  'node:timers': ['*', ...timers],
  'node:timers/promises': ['*', 'scheduler', ...timers],
  'node:perf_hooks': ['*', 'performance'],
  'node:process': ['env', 'hrtime', 'uptime', 'exit'],
  'node:crypto': chances,
};

/** Where a file looks at a clock, at chance or at the environment by itself. */
function meetings({ imports, tokens }: ModuleText): { line: number; what: string }[] {
  const found: { line: number; what: string }[] = [];
  for (const { from, names, line, isType } of imports)
    for (const name of isType ? [] : names)
      if (worldModules[from]?.includes(name)) found.push({ line, what: `${name} of ${from}` });
  tokens.forEach((token, at) => {
    if (token.kind !== 'word') return;
    const what = meeting(tokens, at);
    if (what !== undefined) found.push({ line: token.line, what });
  });
  return found;
}

function meeting(tokens: readonly Token[], at: number): string | undefined {
  const text = tokens[at]?.text ?? '';
  const [before, next, after] = [tokens[at - 1]?.text, tokens[at + 1]?.text, tokens[at + 2]?.text ?? ''];
  // `clock.setTimeout` is somebody's method, `globalThis.setTimeout` is the timer; `...setTimeout` ends in a dot too.
  const isMember = before === '.' && tokens[at - 2]?.text !== 'globalThis' && tokens[at - 2]?.text !== '.';
  if (isMember || before === 'typeof') return undefined;
  if (timers.includes(text) && ![':', '?', 'as'].includes(next ?? '')) return text;
  if (next === '.' && asks[text]?.includes(after)) return `${text}.${after}`;
  if (next === '[' && asks[text]?.includes(after) && tokens[at + 2]?.kind === 'string')
    return `${text}['${after}']`;
  if (text !== 'Date') return undefined;
  // `new Date` reads the clock unless it is given a time; `Date()` does whatever it is given.
  if (before === 'new') return next === '(' && after !== ')' ? undefined : 'new Date without a time';
  return next === '(' ? 'Date()' : undefined;
}
