import type { OidcSettings } from '#core/cluster/oidc-settings.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Events } from '#core/ports/events.ts';
import type { Reach } from './ask-provider.ts';
import { discover, fetchKeys } from './discovery.ts';
import { kept } from './kept.ts';
import type { Claims, KeySet } from './verify.ts';

/** How long a provider's word is good. A key that it took back counts no longer than `keys`. */
const freshMs = { metadata: 3_600_000, keys: 600_000 };
/** Anybody can make up the name of a key: nobody may have us ask the provider for it at will. */
const againMs = 30_000;
/** Two clocks, each set by NTP, are never so far apart. */
const leewayS = 60;

interface Host extends Reach {
  events: Events;
}

/** One provider: what it says of itself, its keys, and what a token of it claims. */
function providerOf(settings: OidcSettings, { events, ...reach }: Host) {
  const { clock } = reach;
  /** Whoever asks hears of it, too; the log has it for whoever can do something about it. */
  async function telling<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof Refusal)
        events.emit({ type: 'provider.finding', severity: 'error', message: error.message });
      throw error;
    }
  }
  const metadata = kept(() => telling(discover(settings.issuer, reach)), {
    ...{ clock, freshMs: freshMs.metadata, againMs },
  });
  const keys = kept(
    async () => {
      const now = await metadata.now();
      return await telling(fetchKeys(now, reach));
    },
    { clock, freshMs: freshMs.keys, againMs },
  );

  /** What a token claims. Refusals `unauthorized`, `token_expired`, `provider_away`. */
  async function claims(token: string, audience = audienceOf(settings)): Promise<Claims> {
    const { verify } = await import('./verify.ts');
    const { issuer } = settings;
    const judged = async (set: KeySet) =>
      await verify(token, { keys: set, issuer, audience, leewayS, now: clock.now() });
    const first = await judged(await keys.now());
    if (first !== 'unknown_key') return first;
    // A key that is new since we asked.
    const second = await judged(await keys.newer());
    if (second !== 'unknown_key') return second;
    throw new Refusal('unauthorized', 'token: is signed by no key of its issuer');
  }

  return {
    settings,
    metadata: metadata.now,
    claims,
    /** Of an ID token that the provider has just made for us: where a clock is off, that is what is said. Refusal `clock_skewed`, too. */
    async freshClaims(token: string): Promise<Claims> {
      const offS = Math.round(issuedAt(token) - clock.now() / 1_000);
      if (Math.abs(offS) > leewayS)
        throw new Refusal(
          'clock_skewed',
          `sign-in: the provider's clock is ${Math.abs(offS)} s ${offS > 0 ? 'ahead of' : 'behind'} this server's; expected at most ${leewayS}; have both set by NTP`,
        );
      return await claims(token, [settings.clientId]);
    },
  };
}
export type Provider = ReturnType<typeof providerOf>;

/** What a token says of when it was made, s; where it says nothing that can be read it is judged by what else it says. */
function issuedAt(token: string): number {
  try {
    return Number(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).iat);
  } catch {
    // No JWT at all.
    return Number.NaN;
  }
}

const audienceOf = ({ clientId, audience }: OidcSettings) =>
  audience === null ? [clientId] : [clientId, audience];

/** The provider that the settings of now name; null: none. What is known of it stays while they say the same. */
export function providerOfNow(
  settings: () => Promise<OidcSettings | null>,
  host: Host,
): () => Promise<Provider | null> {
  let held: { text: string; provider: Provider } | null = null;
  return async () => {
    const now = await settings();
    if (now === null) return null;
    const text = JSON.stringify(now);
    if (held?.text !== text) held = { text, provider: providerOf(now, host) };
    return held.provider;
  };
}
