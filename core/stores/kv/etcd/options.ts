import { readFileSync } from 'node:fs';
import { Refusal } from '#core/model/refusal.ts';
import { mistakesOf } from './certificates.ts';
import { isPem } from './pem.ts';

/** Where an etcd is and how to be let in. */
export interface EtcdOptions {
  /** HOST:PORT each; the port is there. */
  endpoints: readonly string[];
  /** Null: in the clear. Contents of PEM files; without `ca` the authorities that Node knows. */
  tls: { ca: Buffer | null; cert: Buffer | null; key: Buffer | null } | null;
  /** Null: nobody, or whom the certificate names. The password is read anew at each sign-in, so it may be changed. */
  user: { name: string; password: () => string } | null;
}

const etcdUrlShape =
  'etcd://HOST:PORT,... or etcds://HOST:PORT,...?ca=FILE&cert=FILE&key=FILE; with a user ?user=NAME&password-file=FILE or NAME:PASSWORD@ before the hosts';

const known = ['ca', 'cert', 'key', 'user', 'password-file'];

/** Reads such a URL. Refusal `store_url_invalid` with every mistake of it; a password is never shown. */
export function readEtcdUrl(url: string): EtcdOptions {
  const mistakes: string[] = [];
  const [, scheme, rest = ''] = /^(etcds?):\/\/(.*)$/s.exec(url) ?? [];
  const [address = '', query = '', ...more] = rest.split('?');
  const at = address.lastIndexOf('@');
  const hosts = address
    .slice(at + 1)
    .replace(/\/$/, '')
    .split(',');
  const params = new URLSearchParams(query);
  if (scheme === undefined || more.length > 0)
    throw new Refusal('store_url_invalid', `kv: expected ${etcdUrlShape}`, {
      errors: [{ path: 'kv', message: `expected ${etcdUrlShape}`, expected: etcdUrlShape }],
    });
  for (const name of new Set(params.keys())) {
    if (!known.includes(name)) mistakes.push(`${name} is not known; expected one of ${known.join(', ')}`);
    else if (params.getAll(name).length > 1) mistakes.push(`${name} is there twice`);
    else if (params.get(name) === '') mistakes.push(`${name} is empty`);
  }
  for (const host of hosts)
    if (!isHost(host)) mistakes.push(`${JSON.stringify(host)} is no HOST or HOST:PORT`);

  const file = (name: string): Buffer | null => {
    const path = params.get(name);
    if (!path) return null;
    if (isPem(path)) return Buffer.from(path);
    try {
      return readFileSync(path);
    } catch (error) {
      mistakes.push(`${name}: ${error instanceof Error ? error.message : path}`);
      return null;
    }
  };
  const tls = { ca: file('ca'), cert: file('cert'), key: file('key') };
  for (const { name, mistake } of mistakesOf(tls)) {
    const given = params.get(name) ?? '';
    mistakes.push(`${isPem(given) ? name : `${name} (${given})`} ${mistake}`);
  }
  if (scheme === 'etcd' && ['ca', 'cert', 'key'].some((name) => params.has(name)))
    mistakes.push('ca, cert and key belong to etcds://; etcd:// goes in the clear');
  if (params.has('cert') !== params.has('key')) mistakes.push('cert and key come together');
  const user = readUser(at < 0 ? null : address.slice(0, at), params, mistakes);

  if (mistakes.length > 0) {
    const bare = at < 0 ? url : `${scheme}://***@${rest.slice(at + 1)}`;
    // A key that stands in the URL itself is for nobody's log.
    const shown = bare.replaceAll(/=-----BEGIN[^&]*/g, '=***');
    throw new Refusal('store_url_invalid', `kv: ${shown}: ${mistakes.join('; ')}`, {
      errors: mistakes.map((mistake) => ({
        ...{ path: 'kv', message: `kv: ${mistake}`, expected: etcdUrlShape },
      })),
    });
  }
  return {
    endpoints: hosts.map((host) => (/:\d+$/.test(host) ? host : `${host}:2379`)),
    tls: scheme === 'etcds' ? tls : null,
    user,
  };
}

function readUser(
  inAddress: string | null,
  params: URLSearchParams,
  mistakes: string[],
): EtcdOptions['user'] {
  const name = params.get('user');
  const path = params.get('password-file');
  if (inAddress !== null) {
    const [, user, password] = /^([^:]+):(.+)$/s.exec(inAddress) ?? [];
    if (name !== null || path !== null) mistakes.push('the user is there twice: before the @, and as user=');
    if (user === undefined || password === undefined) mistakes.push('expected NAME:PASSWORD before the @');
    else return { name: decoded(user, mistakes), password: always(decoded(password, mistakes)) };
    return null;
  }
  if (name === null && path === null) return null;
  if (name === null || path === null) {
    mistakes.push('user and password-file come together');
    return null;
  }
  const password = () => {
    try {
      return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      throw new Refusal(
        'store_credential_refused',
        `kv: password-file: ${error instanceof Error ? error.message : path}`,
      );
    }
  };
  try {
    password();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    mistakes.push(error.message.replace(/^kv: /, ''));
  }
  return { name, password };
}

const always = (password: string) => () => password;

function decoded(text: string, mistakes: string[]): string {
  try {
    return decodeURIComponent(text);
  } catch {
    mistakes.push('before the @ a % is written %25, an @ %40 and a : %3A');
    return text;
  }
}

function isHost(text: string): boolean {
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  return host !== undefined && (port === undefined || (Number(port) > 0 && Number(port) < 65_536));
}
