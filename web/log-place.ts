/** What a page holds of a log at most; the whole is a download. */
const mostCharacters = 400_000;

/** A part of a log as the API gives it; its text stands behind what was not kept. */
interface Part {
  text: string;
  from: number;
  next: number;
  droppedBytes: number;
}

/** What a page holds of a log. */
export interface Log {
  text: string;
  /** Where in `text` the line begins that one has come for; null until it is there. */
  line: number | null;
  cutBefore: boolean;
  cutAfter: boolean;
}

export const emptyLog: Log = { text: '', line: null, cutBefore: false, cutAfter: false };

/** With the next part of it. Of what is too long the end is kept, or, for who has come for the line at byte `at`, what is around that. */
export function grown(log: Log, part: Part, at: number | null): Log {
  const gap = part.droppedBytes > 0 ? `\n... ${part.droppedBytes} bytes were not kept ...\n` : '';
  if (at === null) {
    const text = log.text + gap + part.text;
    return { ...log, text: text.slice(-mostCharacters), cutBefore: text.length > mostCharacters };
  }
  const begin = part.from + part.droppedBytes;
  const place = log.line === null && part.next > at ? lineOf(part.text, begin, at) : null;
  // The first line that comes is in all likelihood the end of one.
  const torn = log.text === '' && part.from > 0 ? part.text.indexOf('\n') + 1 : 0;
  const cut = place === null || torn <= place ? torn : 0;
  const text = log.text + gap + part.text.slice(cut);
  return {
    text: text.slice(0, mostCharacters),
    line: place === null ? log.line : log.text.length + gap.length + place - cut,
    cutBefore: log.cutBefore || part.from > 0,
    cutAfter: text.length > mostCharacters,
  };
}

const encoder = new TextEncoder();

/**
 * Where in `text`, which stands in a log from byte `from` on, the line begins that byte `at` is in. Bytes that are no
 * text have become a U+FFFD, of one or more: counted as one, what is behind them is found too far on, and its line all the same.
 */
function lineOf(text: string, from: number, at: number): number {
  let place = 0;
  let bytes = from;
  for (const char of text) {
    if (bytes >= at) break;
    bytes += char === '\ufffd' ? 1 : encoder.encode(char).length;
    place += char.length;
  }
  return place === 0 ? 0 : text.lastIndexOf('\n', place - 1) + 1;
}
