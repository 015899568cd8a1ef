import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';

/**
 * A real OpenID Connect provider (npm's certified `oidc-provider`) on loopback. Whoever signs in there types a name; `groups` says
 * which groups that name is in.
 */
export interface RealProvider {
  issuer: string;
  /** Whether refresh tokens are given. */
  refresh: boolean;
  /** Whether it lets anybody in. */
  closed: boolean;
  /** What went wrong within it. */
  faults: string[];
  stop(): Promise<void>;
}

export async function startProvider({
  redirectUri,
  groups,
}: {
  redirectUri: string;
  groups: Readonly<Record<string, readonly string[]>>;
}): Promise<RealProvider> {
  let answer: (request: IncomingMessage, response: ServerResponse) => unknown = () => {};
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const found: RealProvider = {
    ...{ issuer, refresh: true, closed: false, faults: [] },
    stop: () => stop(server),
  };

  const provider = new Provider(issuer, {
    clients: [
      {
        ...{ client_id: 'cronfleet', token_endpoint_auth_method: 'none', redirect_uris: [redirectUri] },
        ...{ grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] },
      },
    ],
    jwks: { keys: [{ ...key, kid: 'k1', use: 'sig', alg: 'RS256' }] },
    cookies: { keys: ['a secret of the tests'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
    // As providers at large do: what was asked for by scopes stands in the ID token.
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
    findAccount: (_: unknown, sub: string) => ({
      accountId: sub,
      claims: () => ({ sub, preferred_username: sub, groups: groups[sub] ?? [] }),
    }),
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/login/${uid}` },
    issueRefreshToken: async () => found.refresh,
    ttl: {
      AccessToken: 3_600,
      IdToken: 3_600,
      Grant: 86_400,
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 86_400,
    },
    loadExistingGrant: grantAll,
  });
  provider.on('server_error', (_, error) => found.faults.push(error.message));
  const protocol = provider.callback();
  answer = async (request, response) => {
    if (!request.url?.startsWith('/login/')) return protocol(request, response);
    if (request.method === 'GET') return response.setHeader('content-type', 'text/html').end(page);
    let sent = '';
    for await (const chunk of request.setEncoding('utf8')) sent += chunk;
    const accountId = new URLSearchParams(sent).get('name') ?? '';
    const result = found.closed
      ? { error: 'access_denied', error_description: 'not you' }
      : { login: { accountId } };
    return await provider.interactionFinished(request, response, result);
  };
  return found;
}

const page = `<!doctype html><title>provider</title><link rel="icon" href="data:,">
<form method="post"><label>Name <input name="name"></label><button>Continue</button></form>`;

interface Asking {
  oidc: {
    client: { clientId: string };
    session: { accountId: string; grantIdFor(client: string): string | undefined };
    provider: { Grant: GrantClass };
  };
}
interface GrantClass {
  find(id: string): Promise<unknown>;
  new (of: {
    clientId: string;
    accountId: string;
  }): { addOIDCScope(scopes: string): void; save(): Promise<string> };
}

/** Nobody is asked whether they agree: whoever runs a fleet has decided that for them. */
async function grantAll({ oidc: { client, session, provider } }: Asking): Promise<unknown> {
  const { clientId } = client;
  const id = session.grantIdFor(clientId);
  if (id !== undefined) return await provider.Grant.find(id);
  const grant = new provider.Grant({ clientId, accountId: session.accountId });
  grant.addOIDCScope('openid profile email');
  await grant.save();
  return grant;
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
