import { type Token, tokenize } from './tokens.ts';

/** One import, re-export or dynamic import of a file. */
export interface Import {
  /** As written: `./a.ts`, `#core/model/job.ts`, `node:fs`, `hono`. */
  from: string;
  /** Nothing of it is there at run time: `import type`, `export type … from`, `typeof import()`, or every name is `type`. */
  isType: boolean;
  /** Exported names that are asked for; `*` where all may be. */
  names: string[];
  line: number;
}

/** What the walls need to know of one file. */
export interface ModuleText {
  imports: Import[];
  /** `import(expression)` whose target only run time knows. */
  computed: { line: number }[];
  exports: { name: string; line: number; isType: boolean }[];
  tokens: Token[];
}

/** Reads a module's imports and exports. Dynamic imports of a plain string count like others; comments and strings never. */
export function readModule(source: string): ModuleText {
  const tokens = tokenize(source);
  const read: ModuleText = { imports: [], computed: [], exports: [], tokens };
  tokens.forEach((token, at) => {
    if (token.kind !== 'word' || isMark(tokens[at - 1], '.')) return;
    if (token.text === 'import') readImport(read, at);
    // A property called `export` or `import` is no statement.
    else if (token.text === 'export' && !isMark(tokens[at + 1], ':')) readExport(read, at);
  });
  return read;
}

function readImport(read: ModuleText, at: number): void {
  const { tokens } = read;
  const line = tokens[at]?.line ?? 0;
  const next = tokens[at + 1];
  if (isMark(next, '.') || isMark(next, ':')) return;
  if (isMark(next, '(')) {
    const target = tokens[at + 2];
    // The whole module comes: which names are used is decided far from here.
    if (isText(target) && (isMark(tokens[at + 3], ')') || isMark(tokens[at + 3], ',')))
      read.imports.push({ from: target.text, isType: isTypeQuery(tokens, at), names: ['*'], line });
    else read.computed.push({ line });
    return;
  }
  if (isText(next)) {
    read.imports.push({ from: next.text, isType: false, names: [], line });
    return;
  }
  const clause = readClause(tokens, at + 1);
  if (clause !== undefined) read.imports.push({ ...clause, line });
}

/** `typeof import('x')` and `import('x').Name` in a type are erased; both stand after `typeof` or a mark that only types have. */
function isTypeQuery(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1];
  return before?.kind === 'word' && before.text === 'typeof';
}

/** `type? name, { a, type b as c } | * as ns from 'x'`, from its first token on. */
function readClause(tokens: readonly Token[], start: number): Omit<Import, 'line'> | undefined {
  const names: string[] = [];
  let at = start;
  const first = tokens[at];
  const second = tokens[at + 1];
  // `import type from 'x'` imports a default called type.
  const isWholeType = isWord(first, 'type') && !isWord(second, 'from') && !isMark(second, ',');
  if (isWholeType) at += 1;
  let values = 0;
  for (; at < tokens.length; at += 1) {
    const token = tokens[at];
    if (isWord(token, 'from') && isText(tokens[at + 1])) {
      const from = tokens[at + 1]?.text ?? '';
      return { from, isType: isWholeType || (names.length > 0 && values === 0), names };
    }
    if (isMark(token, '{')) {
      const list = readNames(tokens, at);
      names.push(...list.names.map(({ source }) => source));
      values += list.names.filter(({ isType }) => !isType).length;
      at = list.end;
    } else if (isMark(token, '*')) {
      names.push('*');
      values += 1;
      if (isWord(tokens[at + 1], 'as')) at += 2;
    } else if (token?.kind === 'word') {
      names.push('default');
      values += 1;
    } else if (!isMark(token, ',')) return undefined;
  }
  return undefined;
}

interface Listed {
  source: string;
  local: string;
  isType: boolean;
  line: number;
}

/** `{ a, type b as c, 'd' as e }`; `at` is the opening brace, `end` the closing one. */
function readNames(tokens: readonly Token[], at: number): { names: Listed[]; end: number } {
  const names: Listed[] = [];
  let part: Token[] = [];
  for (let end = at + 1; end < tokens.length; end += 1) {
    const token = tokens[end];
    if (token === undefined) break;
    if (token.text !== ',' && token.text !== '}') {
      part.push(token);
      continue;
    }
    const isType = part.length > 1 && isWord(part[0], 'type') && !isWord(part[1], 'as');
    const [source, , local] = isType ? part.slice(1) : part;
    if (source !== undefined)
      names.push({ source: source.text, local: (local ?? source).text, isType, line: source.line });
    part = [];
    if (token.text === '}') return { names, end };
  }
  return { names, end: tokens.length };
}

const declares = new Set([
  'function',
  'const',
  'let',
  'var',
  'class',
  'interface',
  'type',
  'enum',
  'namespace',
]);

function readExport(read: ModuleText, at: number): void {
  const { tokens } = read;
  const line = tokens[at]?.line ?? 0;
  let from = at + 1;
  if (isWord(tokens[from], 'default')) {
    read.exports.push({ name: 'default', line, isType: false });
    return;
  }
  const isType =
    isWord(tokens[from], 'type') && (isMark(tokens[from + 1], '{') || isMark(tokens[from + 1], '*'));
  if (isType) from += 1;
  if (isMark(tokens[from], '{')) {
    const list = readNames(tokens, from);
    for (const name of list.names)
      read.exports.push({ name: name.local, line: name.line, isType: isType || name.isType });
  }
  if (isMark(tokens[from], '{') || isMark(tokens[from], '*')) {
    const clause = readClause(tokens, from);
    const isFrom = clause !== undefined && isFromClause(tokens, from);
    if (isFrom) read.imports.push({ ...clause, isType: isType || clause.isType, line });
    return;
  }
  while (isWord(tokens[from], 'async') || isWord(tokens[from], 'abstract') || isWord(tokens[from], 'declare'))
    from += 1;
  if (!declares.has(tokens[from]?.text ?? '')) return;
  const isDeclaredType = ['type', 'interface'].includes(tokens[from]?.text ?? '');
  while (tokens[from]?.kind === 'word' && declares.has(tokens[from]?.text ?? '')) from += 1;
  if (isMark(tokens[from], '*')) from += 1;
  if (isMark(tokens[from], '{'))
    for (const { source, line: at } of readNames(tokens, from).names)
      read.exports.push({ name: source, line: at, isType: false });
  else read.exports.push({ name: tokens[from]?.text ?? '', line, isType: isDeclaredType });
}

/** Whether `{ … }` or `* as x` is followed by `from` at once: without it the braces list what this file declares. */
function isFromClause(tokens: readonly Token[], at: number): boolean {
  if (isMark(tokens[at], '*')) return true;
  return isWord(tokens[readNames(tokens, at).end + 1], 'from');
}

function isMark(token: Token | undefined, text: string): boolean {
  return token?.kind === 'mark' && token.text === text;
}

function isWord(token: Token | undefined, text: string): boolean {
  return token?.kind === 'word' && token.text === text;
}

function isText(token: Token | undefined): token is Token {
  return token?.kind === 'string' || token?.kind === 'template';
}
