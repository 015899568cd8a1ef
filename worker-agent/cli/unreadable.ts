import { Refusal } from '#core/model/refusal.ts';

/** A file that was named and can't be read, without the system's own jargon where that says no more. */
export function unreadable(path: string, error: Error, advice = ''): Refusal {
  const missing = 'code' in error && error.code === 'ENOENT';
  const why = missing ? 'is not there' : `can't be read: ${error.message}`;
  return new Refusal('file_unreadable', `${path} ${why}${advice}`);
}
