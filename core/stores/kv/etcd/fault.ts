import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { KvError } from '#core/ports/kv.ts';

/** What an error of a call means. */
export type Fault =
  /** The member did not do it, or not that we know; another may. `sure`: it was surely not applied. */
  | { kind: 'away'; sure: boolean; message: string }
  /** Surely not applied, and a new sign-in may help. */
  | { kind: 'token'; message: string }
  /** Surely not applied, and the same again anywhere would end the same. */
  | { kind: 'final'; error: Error };

type Rule = [code: status, details: RegExp, (message: string) => Fault];

const refused =
  (code: KvError['code']) =>
  (message: string): Fault => ({ kind: 'final', error: new KvError(code, message) });
const ahead = (message: string): Fault => ({ kind: 'final', error: new RangeError(message) });
const token = (message: string): Fault => ({ kind: 'token', message });
const notDone = (message: string): Fault => ({ kind: 'away', sure: true, message });
const busy = refused('unavailable');
const full = (message: string): Fault =>
  refused('full')(
    `${message}; it takes no writes until it is compacted, defragmented and its alarm disarmed`,
  );

/**
 * Texts of etcd's api/v3rpc/rpctypes/error.go, which are part of its interface, and of grpc-js (picker and resolver) where a call
 * never left this process. The first that fits decides; whatever fits none may have been applied: "request timed out",
 * "leader changed", a connection cut in the middle.
 */
const rules: readonly Rule[] = [
  [status.OUT_OF_RANGE, /compacted/, refused('compacted')],
  [status.OUT_OF_RANGE, /future revision/, ahead],
  [status.NOT_FOUND, /lease not found/, refused('lease_not_found')],
  [status.INVALID_ARGUMENT, /duplicate key/, refused('duplicate_key')],
  [status.INVALID_ARGUMENT, /too many operations|request is too large/, refused('too_large')],
  [status.RESOURCE_EXHAUSTED, /grpc: received message larger/, refused('too_large')],
  [status.RESOURCE_EXHAUSTED, /database space exceeded/, full],
  [status.RESOURCE_EXHAUSTED, /too many requests/, busy],
  [status.UNAUTHENTICATED, /invalid auth token/, token],
  [status.INVALID_ARGUMENT, /auth store is old|user name is empty/, token],
  [status.PERMISSION_DENIED, /./, refused('forbidden')],
  [status.UNAVAILABLE, /No connection established|Name resolution failed/, notDone],
  // Judged before the request is looked at, since each of ours asks for a member that has a leader.
  [status.UNAVAILABLE, /etcdserver: no leader/, notDone],
];

/** `where` names the member in what people read. */
export function judge({ code, details }: Pick<ServiceError, 'code' | 'details'>, where: string): Fault {
  const message = `etcd at ${where} ${explain(details)?.what ?? `says: ${details || status[code]}`}`;
  const rule = rules.find(([of, text]) => of === code && text.test(details));
  return rule?.[2](message) ?? { kind: 'away', sure: false, message };
}

interface Explanation {
  /** Continues "etcd at HOST:PORT". */
  what: string;
  /** Whether waiting cannot mend it: somebody has to change a setting. */
  lasting: boolean;
}

/** What the texts of OpenSSL, Node and grpc-js mean here, and what was expected instead. */
const explanations: readonly [text: RegExp, what: string, lasting: boolean][] = [
  [/ECONNREFUSED/, 'refuses connections; expected a running etcd there', false],
  [/Name resolution failed|ENOTFOUND/, 'cannot be found: nobody knows this host name', false],
  [
    /Protocol error/,
    "does not speak HTTP/2; expected etcd's port for clients, 2379 unless it was changed",
    true,
  ],
  [
    /unknown service|does not implement the method/i,
    'is another service of gRPC; expected etcd 3.4 or later there',
    true,
  ],
  [
    /before secure TLS connection|wrong version number/,
    'does not speak TLS; expected etcd:// for it, not etcds://',
    true,
  ],
  [
    /Last error: Error: read ECONNRESET/,
    'resets the connection at once; expected etcd:// where it speaks no TLS, else etcds://',
    true,
  ],
  [
    /alert certificate expired|alert number 45/,
    'says that our certificate has run out; expected cert= and key= that hold (infra/etcd/certificates.sh)',
    true,
  ],
  [
    /certificate required|alert bad certificate|alert unknown ca|alert number (42|48|116)/,
    'does not accept our certificate; expected cert= and key= of a client, signed by the authority that etcd trusts',
    true,
  ],
  [
    /certificate is not yet valid/,
    "shows a certificate that does not hold yet; expected this machine's clock to be right",
    true,
  ],
  [
    /certificate has expired/,
    'shows a certificate that has run out; expected one that holds (infra/etcd/certificates.sh), or clocks that are right',
    true,
  ],
  [
    /certificate|altnames|self-signed/i,
    'shows a certificate that cannot be trusted; expected ca= to name the authority that signed it, for this very host',
    true,
  ],
  [
    /Last error: Failed to connect/,
    'closes the connection at once; expected etcds:// if it wants TLS',
    false,
  ],
  [/Waiting for LB pick/, "takes connections and says nothing; expected etcd's port for clients", false],
  [/Deadline exceeded/, 'does not answer in time', false],
  [/No connection established/, 'cannot be reached', false],
  [
    /user name is empty/,
    'asks who we are: user name is empty; expected a user and a password in the URL, or a certificate of a client (infra/etcd/roles.sh)',
    true,
  ],
  [
    /permission denied/,
    'does not let this credential do that: permission denied; expected the rights that infra/etcd/roles.sh gives',
    false,
  ],
];

export function explain(details: string): Explanation | null {
  const found = explanations.find(([text]) => text.test(details));
  if (!found) return null;
  const why = /Last error: (?:Error: )?([^\n]*?)\.? (?:\(\d{4}-|Resolution note)/.exec(details)?.[1];
  return { what: why === undefined ? found[1] : `${found[1]} (${why})`, lasting: found[2] };
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error;
}

/** As grpc-js would say it. */
export function cut(details: string, code: status = status.UNAVAILABLE): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}
