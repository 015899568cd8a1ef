import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Beyond this the file is put away as `.old`, and an earlier `.old` is lost: who looks after none of it needs no more. */
const mostBytes = 16 * 1024 * 1024;

/** What History will never take, a line of JSON each, bytes in base64; on disk when `put` returns. */
export function setAside(dir: string) {
  const file = join(dir, 'refused.jsonl');
  return {
    /** Gives the file's name. Throws what the disk says: then the thing is still where it came from. */
    put(line: { what: string; problem: string; item: unknown }): string {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > mostBytes) renameSync(file, `${file}.old`);
      const to = openSync(file, 'a', 0o600);
      try {
        writeSync(to, `${JSON.stringify(line, readable)}\n`);
        fsyncSync(to);
      } finally {
        closeSync(to);
      }
      return file;
    },
  };
}

function readable(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const own = this[key];
  return own instanceof Uint8Array ? Buffer.from(own).toString('base64') : value;
}
