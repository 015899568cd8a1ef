import type { StoreFinding } from '#core/model/store-finding.ts';
import { KvError } from '#core/ports/kv.ts';
import type { Members } from './members.ts';

/** As whom a credential is to serve; null: nobody has said, so it is asked for what both need. */
export type Part = 'worker' | 'api' | null;

const both = { read: ['jobs', 'workers'], write: ['orders', 'kills', 'owed'] };
/** What infra/etcd/roles.sh gives to each. */
const needs: Record<Exclude<Part, null>, { read: readonly string[]; write: readonly string[] }> = {
  worker: { read: ['jobs', 'drains'], write: ['cursors', 'running', 'owed', 'workers', 'orders', 'kills'] },
  api: {
    read: ['cursors', 'workers', 'running'],
    write: ['jobs', 'drains', 'tokens', 'channels', 'orders', 'kills', 'owed', 'alerts', 'audits'],
  },
};

/** What this credential must be able to do and may not. Nothing is read for it, and nothing written. */
export async function ofRights(members: Members, user: string | null, part: Part): Promise<StoreFinding[]> {
  const { read, write } = part === null ? both : needs[part];
  const asked = [
    ...read.map(async (kind) =>
      (await denied(members, 'range', readRequest(kind))) ? `read /cron/${kind}/` : null,
    ),
    ...write.map(async (kind) =>
      (await denied(members, 'txn', writeRequest(kind))) ? `write /cron/${kind}/` : null,
    ),
  ];
  const missing = (await Promise.all(asked)).filter((what) => what !== null);
  if (missing.length === 0) return [];
  const role = part === null ? 'cronfleet-worker or cronfleet-api' : `cronfleet-${part}`;
  return [
    {
      ...{ code: 'etcd_rights', level: 'error' },
      message: `etcd does not let ${user === null ? 'this credential' : `user ${JSON.stringify(user)}`} ${missing.join(', ')}: let it come as a user with the role ${role}; where it does, run infra/etcd/roles.sh of this version again`,
    },
  ];
}

const keysOf = (kind: string) => ({
  key: Buffer.from(`/cron/${kind}/`),
  range_end: Buffer.from(`/cron/${kind}0`),
});

function readRequest(kind: string): object {
  return { ...keysOf(kind), count_only: true };
}

/** etcd judges whether one may before it judges whether one should: no version is below zero. */
function writeRequest(kind: string): object {
  const key = Buffer.from(`/cron/${kind}/`);
  return {
    compare: [{ key, target: 'Version', result: 'Less', version: 0 }],
    success: [{ request_put: { key, value: Buffer.from('') } }],
    failure: [],
  };
}

async function denied(members: Members, method: string, request: object): Promise<boolean> {
  try {
    await members.call({ service: 'KV', method, request, repeatable: true });
    return false;
  } catch (error) {
    // Who is away, or full, is told of elsewhere.
    if (!(error instanceof KvError)) throw error;
    return error.code === 'forbidden';
  }
}
