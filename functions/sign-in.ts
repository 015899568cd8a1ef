import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type * as v from 'valibot';
import { Refusal } from '#core/model/refusal.ts';
import { type SignedIn, type SignedOut, SignInCode, type SignInWays } from './answers.ts';
import { audit } from './audit.ts';
import { bodyOf } from './body.ts';
import type { AppDeps, Env } from './deps.ts';
import type { Reach } from './oidc/ask-provider.ts';
import { callerOf } from './oidc/caller-of.ts';
import type { Provider } from './oidc/provider.ts';
import { revoke, tokensFor } from './oidc/token-endpoint.ts';

/** Where people sign in by a provider. Open: who comes here has no token yet. */
export const signInPath = '/api/v1/sign-in';

/** Holds the provider's refresh token where no script can read it, and goes nowhere but here. It ends with the browser. */
const cookie = '__Secure-cronfleet';
const place = { path: signInPath, secure: true, httpOnly: true, sameSite: 'Strict' } as const;
/** Browsers drop larger cookies: then the site asks the provider anew, without a question where it still knows the person. */
const cookieMax = 3_800;

/** What the site asks to sign people in: this server redeems codes, so no page ever talks to the provider, nor holds what lives long. */
export function signIn(deps: AppDeps, providerOfNow: () => Promise<Provider | null>, reach: Reach) {
  async function providerFor(c: Context<Env>): Promise<Provider> {
    c.header('cache-control', 'no-store');
    // Every browser says so today; a page elsewhere has no business here.
    const site = c.req.header('sec-fetch-site') ?? 'same-origin';
    if (site !== 'same-origin')
      throw new Refusal('forbidden', `sign-in: a page of another site (${site}) can't ask for this`);
    const provider = await providerOfNow();
    if (provider === null)
      throw new Refusal('sign_in_off', 'sign-in: there is no provider here (oidc-issuer); use a token');
    return provider;
  }

  /** Hands over the ID token, if it is one of somebody who has a role here. */
  async function signedIn(
    c: Context<Env>,
    provider: Provider,
    { id_token: token, refresh_token: refresh }: Awaited<ReturnType<typeof tokensFor>>,
    nonce: string | null,
  ): Promise<{ answer: v.InferOutput<typeof SignedIn>; subject: string }> {
    if (token === undefined)
      throw new Refusal('sign_in_refused', 'sign-in: the provider gave no ID token; sign in again');
    const claims = await provider.freshClaims(token);
    if (nonce !== null && claims.nonce !== nonce)
      throw new Refusal(
        'sign_in_refused',
        'sign-in: the ID token is of another sign-in (nonce); sign in again',
      );
    const caller = callerOf(claims, provider.settings);
    c.set('caller', caller);
    if (refresh !== undefined && refresh.length <= cookieMax) setCookie(c, cookie, refresh, place);
    else if (refresh !== undefined || nonce !== null) deleteCookie(c, cookie, place);
    const expiresIn = Math.floor(claims.exp - deps.clock.now() / 1_000);
    return { answer: { token, expiresIn }, subject: claims.sub };
  }

  return {
    /** How one signs in here. */
    async ways(c: Context<Env>): Promise<Response> {
      c.header('cache-control', 'no-store');
      const provider = await providerOfNow();
      if (provider === null) return c.json<v.InferOutput<typeof SignInWays>>({ oidc: null });
      const { issuer, clientId, scopes } = provider.settings;
      const { authorization_endpoint: authorizationEndpoint } = await provider.metadata();
      return c.json<v.InferOutput<typeof SignInWays>>({
        oidc: { issuer, clientId, scopes, authorizationEndpoint },
      });
    },

    async byCode(c: Context<Env>): Promise<Response> {
      const provider = await providerFor(c);
      const { code, verifier, redirectUri, nonce } = (await bodyOf(c, SignInCode)) as v.InferOutput<
        typeof SignInCode
      >;
      const tokens = await tokensFor(provider, reach, {
        ...{ grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri },
      });
      const { answer, subject } = await signedIn(c, provider, tokens, nonce);
      const caller = c.get('caller');
      const { role, groups } = caller;
      const after = { issuer: provider.settings.issuer, subject, role, groups };
      await audit({ c, deps, caller }, 'sign-in', { target: caller.name, after });
      return c.json(answer);
    },

    async renew(c: Context<Env>): Promise<Response> {
      const provider = await providerFor(c);
      const refresh = getCookie(c, cookie);
      if (refresh === undefined)
        throw new Refusal('sign_in_refused', 'sign-in: this browser has no session here; sign in again');
      try {
        const tokens = await tokensFor(provider, reach, {
          ...{ grant_type: 'refresh_token', refresh_token: refresh },
        });
        return c.json((await signedIn(c, provider, tokens, null)).answer);
      } catch (error) {
        // It is over for good: asking again with it would be answered alike.
        if (error instanceof Refusal && error.code === 'sign_in_refused') deleteCookie(c, cookie, place);
        throw error;
      }
    },

    async out(c: Context<Env>): Promise<Response> {
      const provider = await providerFor(c);
      const refresh = getCookie(c, cookie);
      deleteCookie(c, cookie, place);
      // Out of here one is anyway: what can't be told to the provider ends there by its time.
      if (refresh !== undefined) await revoke(provider, reach, refresh).catch(() => {});
      const { end_session_endpoint: there } = await provider
        .metadata()
        .catch(() => ({ end_session_endpoint: undefined }));
      const answer: v.InferOutput<typeof SignedOut> = { endSessionEndpoint: there ?? null };
      return c.json(answer);
    },
  };
}
