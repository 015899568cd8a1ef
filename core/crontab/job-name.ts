import { hashOf } from '#core/decide/placement.ts';

/**
 * The command's first word without its folder, and six digits of the line's hash: the same line has the same name at every import.
 * So neither this text nor the hash may ever change.
 */
export function jobName(command: string, line: string): string {
  const [word = ''] = command.trim().split(/\s+/);
  const base = (word.split('/').at(-1) ?? '')
    .replace(/[^A-Za-z0-9._-]/g, '')
    .replace(/^[.-]+/, '')
    .slice(0, 40);
  return `${base === '' ? 'job' : base}-${hashOf(line).toString(16).padStart(8, '0').slice(0, 6)}`;
}
