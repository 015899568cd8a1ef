import type { Layout } from '../../sqlite/open-database.ts';

/**
 * `due` is what lists are sorted by: the instant, or when a manual run was asked for; then the attempt, then `seq`, the order of
 * arrival, which never changes. So every list is a walk along one index and its cursor is three numbers. What is filtered
 * or summed stands in columns of its own; the whole record is `body`.
 */
export const historyLayout: Layout = {
  what: 'history',
  applicationId: 0x63_72_68_69,
  steps: [
    `
    CREATE TABLE run (
      seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, grp TEXT NOT NULL, name TEXT NOT NULL, cause TEXT NOT NULL,
      due INTEGER NOT NULL, attempt INTEGER NOT NULL, instant INTEGER, state TEXT NOT NULL, worker TEXT,
      until INTEGER, count INTEGER NOT NULL, duration INTEGER, late INTEGER, expire INTEGER, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX run_due ON run (due, attempt);
    CREATE INDEX run_group ON run (grp, due, attempt);
    CREATE INDEX run_job ON run (grp, name, due, attempt);
    CREATE INDEX run_state ON run (state, due, attempt);
    CREATE INDEX run_worker ON run (worker, due, attempt);
    CREATE INDEX run_cause ON run (cause, due, attempt);
    CREATE INDEX run_until ON run (grp, name, until) WHERE until IS NOT NULL;
    CREATE INDEX run_expire ON run (expire) WHERE expire IS NOT NULL;
    CREATE INDEX run_stats ON run (due, grp, state, count, duration, late);
    CREATE TABLE log (
      run TEXT NOT NULL, seq INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL, at INTEGER NOT NULL,
      expire INTEGER NOT NULL, data BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX log_seq ON log (run, seq);
    CREATE INDEX log_offset ON log (run, offset);
    CREATE INDEX log_expire ON log (expire);
    CREATE TABLE audit (
      id TEXT PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, job TEXT, grp TEXT, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_at ON audit (at, id);
    CREATE INDEX audit_job ON audit (job, at, id);
    CREATE INDEX audit_who ON audit (who, at, id);
    CREATE TABLE load (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
    `,
    // `taker` is Alert.by; what changes about an alert stands in columns and in `body` alike.
    `
    CREATE TABLE alert (
      id TEXT PRIMARY KEY, at INTEGER NOT NULL, grp TEXT, about TEXT NOT NULL, open INTEGER NOT NULL, due INTEGER, taker TEXT,
      told INTEGER, expire INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX alert_at ON alert (at, id);
    CREATE INDEX alert_group ON alert (grp, at, id);
    CREATE INDEX alert_open ON alert (open, at, id);
    CREATE INDEX alert_about ON alert (about) WHERE open = 1;
    CREATE INDEX alert_due ON alert (due) WHERE due IS NOT NULL;
    CREATE INDEX alert_told ON alert (told) WHERE told IS NOT NULL;
    CREATE INDEX alert_expire ON alert (expire);
    `,
    // Who delivers at present, in its only row, and until when nobody else does.
    `
    CREATE TABLE delivery (taker TEXT NOT NULL, until INTEGER NOT NULL) STRICT;
    INSERT INTO delivery VALUES ('', 0);
    `,
  ],
};
