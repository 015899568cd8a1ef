import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { flagsOf } from './flags.ts';
import { version } from './shipped.ts';

export function usageOf({ name, words, flags }: Command): string {
  return ['usage: cronfleet', name, words, flags === undefined ? '' : '[FLAGS]']
    .filter((word) => word !== '')
    .join(' ');
}

/** What `cronfleet COMMAND --help` says. */
export function helpOf(command: Command): string {
  const flags = Object.entries(flagsOf(command)).map(
    ([name, { value, help }]) =>
      [`${name.length === 1 ? '-' : '--'}${name}${value === undefined ? '' : ` ${value}`}`, help] as const,
  );
  const width = Math.max(0, ...flags.map(([flag]) => flag.length));
  return [
    usageOf(command),
    `  ${command.summary}`,
    ...(command.note === undefined ? [] : [`  ${command.note}`]),
    ...(flags.length === 0 ? [] : ['', ...flags.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`)]),
    '',
    'Example:',
    `  ${command.example}`,
    '',
  ].join('\n');
}

/** What `cronfleet --help` says. */
export function overview(): string {
  const parts = Map.groupBy(commands, ({ part }) => part);
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = [...parts].flatMap(([part, list]) => [
    '',
    `${part}:`,
    ...list.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
  ]);
  return [
    `cronfleet ${version}: a crontab you can trust`,
    ...lines,
    '',
    'JOB is NAME (of group default) or GROUP/NAME. cronfleet COMMAND --help tells more, with an example.',
    'Exit codes: 0 done, 1 refused, 2 wrong call, 3 no server answers.',
    '',
  ].join('\n');
}
