/**
 * How a backslash is read in front of the first `%`. Both read `\%` as `%`; Vixie's cron 3.0 (Debian, Ubuntu) also reads `\\` as `\`,
 * cronie (Fedora, RHEL, Arch, SUSE) leaves it alone. Behind the first `%` they agree.
 */
export type Flavour = 'vixie' | 'cronie';

export interface Command {
  command: string;
  /** Null: none, the command finds its input empty. */
  stdin: string | null;
}

/** The rest of a line, taken apart: an unescaped `%` ends the command, what follows is its input (crontab(5), do_command.c). */
export function splitCommand(text: string, flavour: Flavour): Command {
  let command = '';
  for (let at = 0; at < text.length; at += 1) {
    const [char = '', next] = [text[at], text[at + 1]];
    if (char === '%') return { command, stdin: inputOf(text.slice(at + 1)) };
    if (char === '\\' && (next === '%' || (next === '\\' && flavour === 'vixie'))) at += 1;
    command += char === '\\' && text[at] === '%' ? '%' : char;
  }
  return { command, stdin: null };
}

/** Each further `%` is a new line and `\%` a per cent sign; a last line that does not end gets its end. */
function inputOf(text: string): string | null {
  if (text === '') return null;
  const input = text.replace(/(\\?)%/g, (_, escaped: string) => (escaped === '' ? '\n' : '%'));
  return input.endsWith('\n') ? input : `${input}\n`;
}

/** What splitCommand reads as this; null: no text does. */
export function joinCommand({ command, stdin }: Command, flavour: Flavour): string | null {
  // Before the end of the line a lone backslash may stay as it is, before a % it may not.
  const doubled = stdin === null ? /\\(?=[\\%])/g : /\\(?=[\\%]|$)/g;
  const head = (flavour === 'vixie' ? command.replace(doubled, '\\\\') : command).replaceAll('%', '\\%');
  const tail =
    stdin === null
      ? ''
      : `%${stdin
          .replaceAll('%', '\\%')
          .replace(/(?<=[^\n])\n$/, '')
          .replaceAll('\n', '%')}`;
  const text = head + tail;
  const back = splitCommand(text, flavour);
  return back.command === command && back.stdin === stdin && !/[\n\r]/.test(text) ? text : null;
}
