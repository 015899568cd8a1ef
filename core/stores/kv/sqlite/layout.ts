import type { Layout } from '../../sqlite/open-database.ts';

/**
 * The present only: the past that followers and old reads need lives in the process, and ends with it.
 * `lease.ends` is wall time (UTC ms): boot time does not outlive a reboot.
 */
export const kvLayout: Layout = {
  what: 'store',
  applicationId: 0x63_72_6b_76,
  steps: [
    `
    CREATE TABLE entry (
      id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value TEXT NOT NULL,
      created INTEGER NOT NULL, mod INTEGER NOT NULL, version INTEGER NOT NULL, lease TEXT
    ) STRICT;
    CREATE TABLE lease (id TEXT PRIMARY KEY, ttl INTEGER NOT NULL, ends INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE head (only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL, last_lease INTEGER NOT NULL) STRICT;
    INSERT INTO head VALUES (1, 1, 0);
    `,
  ],
};
