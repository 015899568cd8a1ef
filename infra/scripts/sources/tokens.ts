/** What a reader of imports needs to know of a source text: words, marks and string values, without the comments. */
export interface Token {
  /** `template` is a template literal without `${}`; its value is known like a string's. */
  kind: 'word' | 'mark' | 'string' | 'template' | 'number' | 'regex';
  /** A string's value, else the text as it stands. A mark is one character. */
  text: string;
  /** From 1. */
  line: number;
}

/** After these words a slash begins a regular expression, after any other word it divides. */
const beforeRegex = new Set(
  'return typeof case in of delete void throw new else do instanceof await yield extends'.split(' '),
);

/**
 * Splits TypeScript into tokens. TypeScript 7 has no JavaScript API and other tools drop type-only imports, which the
 * walls hold too; so this is the smallest reader that is not fooled by comments, strings, templates and regular
 * expressions. It does not judge syntax: the compiler does. No JSX text with quotes or backticks in it.
 */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  // Each open `${` holds how many braces stood open outside it, so that its closing brace is known.
  const templates: number[] = [];
  let braces = 0;
  let line = 1;
  let at = 0;

  const push = (kind: Token['kind'], text: string) => tokens.push({ kind, text, line });
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const countLines = (text: string) => {
    line += text.split('\n').length - 1;
  };

  while (at < source.length) {
    const blank = take(/\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|#![^\n]*/y);
    if (blank !== undefined) {
      countLines(blank);
      continue;
    }
    const word = take(/[#@]?[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/uy);
    if (word !== undefined) {
      push('word', word);
      continue;
    }
    const number = take(/\.?\d[\w.]*/y);
    if (number !== undefined) {
      push('number', number);
      continue;
    }
    const text = take(/'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"/y);
    if (text !== undefined) {
      push('string', text.slice(1, -1));
      countLines(text);
      continue;
    }
    const isInTemplate = source[at] === '}' && templates.at(-1) === braces;
    if (source[at] === '`' || isInTemplate) {
      const part = take(/[`}](?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{|$)/y) ?? '';
      const ends = part.length > 1 && part.endsWith('`');
      if (isInTemplate) templates.pop();
      else push('template', ends ? part.slice(1, -1) : '');
      if (part.endsWith('${')) templates.push(braces);
      // What follows `…}` + "`" follows a value, so a slash there divides.
      else if (isInTemplate) push('template', '');
      countLines(part);
      continue;
    }
    if (source[at] === '/' && mayBeRegex(tokens.at(-1))) {
      const regex = take(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y);
      if (regex !== undefined) {
        push('regex', regex);
        continue;
      }
    }
    const mark = source[at] ?? '';
    if (mark === '{') braces += 1;
    if (mark === '}') braces -= 1;
    push('mark', mark);
    at += 1;
  }
  return tokens;
}

function mayBeRegex(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === 'word') return beforeRegex.has(before.text);
  if (before.kind !== 'mark') return false;
  // After `)` or `]` a value ended; after `}` either is possible and a regular expression the rarer.
  return !')]}'.includes(before.text);
}
