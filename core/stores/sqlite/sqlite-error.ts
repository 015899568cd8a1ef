/** https://www.sqlite.org/rescode.html, those that somebody can do something about. */
const primaryCodes: Record<number, string> = {
  3: 'PERM',
  5: 'BUSY',
  8: 'READONLY',
  10: 'IOERR',
  11: 'CORRUPT',
  13: 'FULL',
  14: 'CANTOPEN',
  18: 'TOOBIG',
  19: 'CONSTRAINT',
  26: 'NOTADB',
};
const fsyncFailed = 10 | (4 << 8);

export interface SqliteError {
  /** As SQLite names it, without SQLITE_; the number where it is none of ours. */
  primary: string;
  /** An fsync failed: what was to be committed may stand on disk all the same. */
  uncertain: boolean;
  text: string;
}

/** What SQLite says by this error, or null where it is not SQLite's. */
export function sqliteError(error: unknown): SqliteError | null {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_SQLITE_ERROR') return null;
  const code = 'errcode' in error ? Number(error.errcode) : 0;
  return {
    primary: primaryCodes[code & 0xff] ?? String(code),
    uncertain: code === fsyncFailed,
    text: error.message,
  };
}
