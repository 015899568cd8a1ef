import { stripVTControlCharacters, styleText } from 'node:util';

export type Colour = 'green' | 'red' | 'yellow' | 'cyan' | 'dim' | 'bold';

/** Where a command writes. Colours only where stdout is a terminal and NO_COLOR does not stand. */
export interface Terminal {
  /** As it is, without an end of its own. */
  write(text: string): void;
  /** To stdout, with a new line. */
  line(text: string): void;
  /** To stderr, with a new line. */
  note(text: string): void;
  paint(colour: Colour, text: string): string;
  /** The whole of stdin. */
  input(): Promise<string>;
}

export function terminalOf(
  stdin: AsyncIterable<unknown>,
  stdout: NodeJS.WriteStream,
  stderr: NodeJS.WriteStream,
): Terminal {
  return {
    write: (text) => void stdout.write(text),
    line: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    paint: (colour, text) => styleText(colour, text, { stream: stdout }),
    async input() {
      const pieces: Buffer[] = [];
      for await (const piece of stdin) pieces.push(Buffer.from(piece as Uint8Array));
      return Buffer.concat(pieces).toString();
    },
  };
}

const wide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uFF01-\uFF60]/u;

/** Columns that a terminal takes for a text. */
function widthOf(text: string): number {
  let width = 0;
  for (const char of stripVTControlCharacters(text))
    width += /\p{M}|\u200D|\uFE0F/u.test(char) ? 0 : wide.test(char) ? 2 : 1;
  return width;
}

/** What of somebody's text may go to a terminal: no control characters, which could move its cursor or lie. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\u00b7');
}

export function shorten(text: string, most: number): string {
  const chars = [...text];
  return chars.length <= most ? text : `${chars.slice(0, most - 1).join('')}\u2026`;
}

/** Columns as wide as their widest cell; the last is not filled up. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...all.map((row) => widthOf(row[at] ?? ''))));
  return all
    .map((row) =>
      head
        .map((_, at) => {
          const cell = row[at] ?? '';
          return at === head.length - 1 ? cell : cell + ' '.repeat((widths[at] ?? 0) - widthOf(cell));
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
