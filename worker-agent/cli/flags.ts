import { parseArgs } from 'node:util';
import { type Command, type Flag, Usage } from './command.ts';

/** Flags of every command that asks a server. */
const serverFlags: Readonly<Record<string, Flag>> = {
  url: { value: 'URL', help: 'the server (CRONFLEET_URL, or what `up` left in its folder)' },
  token: { value: 'TOKEN', help: 'for it (CRONFLEET_TOKEN, or what `up` left in its folder)' },
  data: { value: 'FOLDER', help: "`up`'s folder (.cronfleet)" },
};

export function flagsOf({ flags = {}, local }: Command): Readonly<Record<string, Flag>> {
  return { ...flags, ...(local === true ? {} : serverFlags) };
}

export interface Words {
  args: string[];
  flags: Record<string, string | boolean | undefined>;
}

/** Reads a command's words and flags; throws Usage, naming what is unknown and what was perhaps meant. */
export function readWords(command: Command, words: readonly string[]): Words {
  const known = { ...flagsOf(command), help: { help: '' } as Flag };
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { value }]) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        ...(name.length === 1 ? { short: name } : {}),
      },
    ]),
  );
  if (!('h' in options)) options.help = { type: 'boolean', short: 'h' };
  let read: Words;
  try {
    const { positionals, values } = parseArgs({ args: [...words], options, allowPositionals: true });
    read = { args: positionals, flags: values as Words['flags'] };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw wrongFlag(error.message, known, words);
  }
  if (read.flags.help === true) return read;
  const [least, most] = command.count;
  if (read.args.length < least) throw new Usage(`expected ${command.words}`);
  if (read.args.length > most)
    throw new Usage(
      `${JSON.stringify(read.args[most])} is one word too many; expected ${command.words || 'none'}`,
    );
  return read;
}

/** What parseArgs found wrong, in our own words. */
function wrongFlag(message: string, known: Readonly<Record<string, Flag>>, words: readonly string[]): Usage {
  const [, said = '', dashes = '', name = ''] =
    /^(Unknown option|Option) '(?:-\w, )?(-*)([^' ]*)/.exec(message) ?? [];
  const flag = `${dashes}${name}`;
  if (said === 'Unknown option')
    return new Usage(`there is no ${flag} here${meant(name, Object.keys(known), '--')}`);
  const value = known[name]?.value;
  if (said === '') return new Usage(message.split(/\. |\n/)[0] ?? '');
  if (value === undefined) return new Usage(`${flag} takes nothing`);
  const given = words[words.indexOf(flag) + 1];
  const hint = given === undefined ? '' : `; one that begins with - is written ${flag}=${given}`;
  return new Usage(`${flag}: expected ${value}${hint}`);
}

/** `; did you mean X?`, where something known is near. */
export function meant(word: string, known: readonly string[], before = ''): string {
  const near = known
    .map((one) => ({ one, distance: one.startsWith(word) && word.length > 1 ? 1 : distance(word, one) }))
    .filter(({ one, distance: far }) => far <= Math.max(1, Math.floor(one.length / 3)))
    .sort((a, b) => a.distance - b.distance)[0];
  return near === undefined ? '' : `; did you mean ${before}${near.one}?`;
}

/** Letters to put in, take out or replace until one word is the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, char] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries())
      next.push(
        Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (char === other ? 0 : 1)),
      );
    row = next;
  }
  return row.at(-1) ?? 0;
}
