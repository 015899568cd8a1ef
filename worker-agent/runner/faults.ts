import { Refusal } from '#core/model/refusal.ts';

export function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

export function isDiskFull(error: unknown): boolean {
  return isCode(error, 'ENOSPC', 'EDQUOT');
}

/** Too many processes, open files or too little memory: it may work in a moment. */
export function isShort(error: unknown): boolean {
  return isCode(error, 'EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM');
}

/** What the host lacks to arm a run, as code and reason; anything else is a fault and thrown through. */
export function armRefusal(error: unknown, where: string): { code: string; reason: string } {
  if (error instanceof Refusal) return { code: error.code, reason: error.message };
  const text = error instanceof Error ? error.message : '';
  if (isDiskFull(error)) return { code: 'disk_full', reason: `no room on the disk of ${where}: ${text}` };
  if (isCode(error, 'EROFS', 'EIO'))
    return { code: 'disk_failed', reason: `the disk of ${where} takes nothing: ${text}` };
  if (isShort(error) || isCode(error, 'E2BIG'))
    return { code: 'spawn_failed', reason: `this host could not start another process: ${text}` };
  throw error;
}
