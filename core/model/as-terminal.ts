const esc = String.fromCharCode(27);
const sequences = new RegExp(
  `${esc}(?:\\[[0-9;?]*[ -/]*[@-~]|\\][^${esc}]*(?:${esc}\\\\|\\x07)|[@-Z\\\\-_])`,
  'g',
);

/** A log as a terminal would show it: escape sequences do not show, a carriage return begins its line anew. */
export function asTerminal(text: string): string {
  return text
    .replace(sequences, '')
    .replace(/\r+\n/g, '\n')
    .split('\n')
    .map((line) => {
      if (!line.includes('\r')) return line;
      let shown = '';
      for (const part of line.split('\r')) shown = part + shown.slice(part.length);
      return shown;
    })
    .join('\n');
}
