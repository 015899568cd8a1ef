import { ask, Problem } from './api.ts';
import type { Session } from './session.ts';

/** The OpenID Connect provider by which one may sign in, as the API tells of it. */
export interface Provider {
  issuer: string;
  clientId: string;
  scopes: string;
  authorizationEndpoint: string;
}
interface SignedIn {
  token: string;
  expiresIn: number;
}

/** What must be known again when the provider sends one back; for this tab, and used once. */
interface Underway {
  state: string;
  nonce: string;
  verifier: string;
  /** Where to go on. */
  back: string;
  /** Nobody is to be asked anything. */
  silent: boolean;
}

const underway = 'cronfleet.sign-in';
/** Says of this browser that its last session was by the provider: the session itself is where no script reaches. */
const known = 'cronfleet.provider';
/** Where the provider sends one back to, and knows it. */
const callback = '/sign-in';

/** How one signs in here by a provider; null: not at all. */
export async function findProvider(): Promise<Provider | null> {
  return (await ask<{ oidc: Provider | null }>('GET', '/sign-in')).oidc;
}

/** Goes to the provider, which sends one back with a code (RFC 6749 with PKCE, RFC 7636). */
export async function leaveFor(provider: Provider, { silent = false } = {}): Promise<never> {
  if (crypto.subtle === undefined)
    throw new Error(
      'Signing in by a provider needs HTTPS. A token works without, though anybody on the way may read it.',
    );
  // Two slashes at its beginning would be another site's address, to which no page may change its own.
  const back =
    location.pathname === callback ? '/' : location.pathname.replace(/^\/+/, '/') + location.search;
  const going: Underway = { state: chance(), nonce: chance(), verifier: chance(), back, silent };
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(going.verifier));
  sessionStorage.setItem(underway, JSON.stringify(going));
  const to = new URL(provider.authorizationEndpoint);
  for (const [name, value] of Object.entries({
    ...{ response_type: 'code', client_id: provider.clientId, redirect_uri: location.origin + callback },
    ...{ scope: provider.scopes, state: going.state, nonce: going.nonce },
    ...{ code_challenge: base64url(new Uint8Array(digest)), code_challenge_method: 'S256' },
    ...(silent ? { prompt: 'none' } : {}),
  }))
    to.searchParams.set(name, value);
  // Nobody wants to go back to a page that goes there by itself.
  if (silent) location.replace(to);
  else location.assign(to);
  // This page is over.
  return new Promise<never>(() => {});
}

/** The session that the provider's answer in the address begins, or the one from before a reload; null: neither. */
export async function resume(): Promise<Session | null> {
  const answer = new URLSearchParams(location.search);
  if (location.pathname === callback && (answer.has('code') || answer.has('error')))
    return await comeBack(answer);
  if (localStorage.getItem(known) === null) return null;
  try {
    return sessionOf(await renewed());
  } catch (error) {
    if (!(error instanceof Problem) || (error.status !== 401 && error.status !== 404)) throw error;
    const provider = await findProvider();
    if (provider !== null) return await leaveFor(provider, { silent: true });
    localStorage.removeItem(known);
    return null;
  }
}

async function comeBack(answer: URLSearchParams): Promise<Session | null> {
  const text = sessionStorage.getItem(underway);
  sessionStorage.removeItem(underway);
  const went: Underway | null = text === null ? null : JSON.parse(text);
  // Out of the address at once: a code is good for one use, and a reload would be another.
  history.replaceState(null, '', went?.back ?? '/');
  if (went === null || answer.get('state') !== went.state)
    throw new Error(
      'The answer of the provider is to no sign-in of this tab: an old page, or a link of somebody else. Sign in again.',
    );
  const error = answer.get('error');
  if (error !== null) {
    if (!went.silent) throw new Error(sayNo(error, answer.get('error_description')));
    // It knows nobody here any more, or would ask something: then so do we.
    localStorage.removeItem(known);
    return null;
  }
  const first = await ask<SignedIn>('POST', '/sign-in', {
    ...{ code: answer.get('code'), verifier: went.verifier, nonce: went.nonce },
    redirectUri: location.origin + callback,
  });
  localStorage.setItem(known, 'yes');
  return sessionOf(first);
}

function sayNo(error: string, words: string | null): string {
  const said = `The provider says ${error}${words === null ? '' : `: ${words}`}.`;
  if (error === 'access_denied')
    return `${said} If you did not cancel it yourself, ask whoever administers the provider to let you use cronfleet.`;
  if (/^(temporarily_unavailable|server_error)$/.test(error)) return `${said} Try again in a moment.`;
  return `${said} It has to know this site as ${location.origin}${callback}, with the scopes that are asked for: tell whoever set this up.`;
}

/** Tokens in this page's memory only; each is renewed when it nears its end. */
function sessionOf(first: SignedIn): Session {
  let held = heldOf(first);
  let renewing: Promise<void> | null = null;
  const renew = () => {
    renewing ??= renewed()
      .then((next) => {
        held = heldOf(next);
      })
      .finally(() => {
        renewing = null;
      });
    return renewing;
  };
  // For all who ask at the same time: of two who leave, the one that is on its way may get the answer to the other.
  let leaving: Promise<never> | null = null;
  const leave = (why: unknown) => {
    leaving ??= findProvider()
      .then((provider) => {
        if (provider === null) throw why;
        return leaveFor(provider, { silent: true });
      })
      .finally(() => {
        leaving = null;
      });
    return leaving;
  };
  return {
    // The provider has just vouched for it.
    isNew: false,
    async token() {
      if (Date.now() >= held.renewAt)
        await renew().catch(async (error: unknown) => {
          const over = error instanceof Problem && error.status === 401;
          if (Date.now() < held.endsAt) {
            // It is good for a while yet; where there is nothing to renew by, for so long.
            if (over) held.renewAt = held.endsAt;
            return;
          }
          if (!over) throw error;
          await leave(error);
        });
      return held.token;
    },
    another: () =>
      renew().then(
        () => true,
        () => false,
      ),
    // The provider may still know the person, and a reload asks it.
    forget() {},
    async end() {
      localStorage.removeItem(known);
      const { endSessionEndpoint } = await ask<{ endSessionEndpoint: string | null }>('DELETE', '/sign-in');
      return endSessionEndpoint;
    },
  };
}

function heldOf({ token, expiresIn }: SignedIn) {
  const now = Date.now();
  return { token, renewAt: now + expiresIn * 800, endsAt: now + expiresIn * 1_000 };
}

/** One tab at a time: a provider may take a refresh token that comes twice for a stolen one. */
async function renewed(): Promise<SignedIn> {
  const work = () => ask<SignedIn>('POST', '/sign-in/renew');
  return navigator.locks === undefined
    ? await work()
    : await navigator.locks.request('cronfleet.renew', work);
}

/** 256 bits of chance, as text. */
const chance = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
