import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { forOidc, oidcOf } from '#core/cluster/oidc-settings.ts';
import { eventBus } from '#core/ports/event-bus.ts';
import type { Event } from '#core/ports/events.ts';
import { providerFindings, tellProvider } from '#functions/oidc/findings.ts';
import { makeIssuer } from '#test/api/issuer.ts';
import { VirtualClock } from '#test/sim/virtual-clock.ts';

const clock = new VirtualClock();
const settings = oidcOf({
  ...forOidc(() => null),
  ...{ 'oidc-issuer': 'https://id.example.com/realm', 'oidc-client': 'c', 'oidc-roles': 'ops=admin' },
});
assert.ok(settings);

describe('what keeps people from signing in', () => {
  const found = async (change: (issuer: ReturnType<typeof makeIssuer>) => void) => {
    const issuer = makeIssuer(clock);
    change(issuer);
    return await providerFindings(settings, { clock, fetch: issuer.fetch });
  };

  it('is nothing where the provider is as it should be', async () => {
    assert.deepEqual(await found(() => {}), []);
    const all = {
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
      code_challenge_methods_supported: ['plain', 'S256'],
      id_token_signing_alg_values_supported: ['HS256', 'RS256'],
    };
    assert.deepEqual(await found(({ state }) => Object.assign(state, { metadata: all })), []);
  });

  it('is named, all of it', async () => {
    const bad = {
      scopes_supported: ['openid'],
      code_challenge_methods_supported: ['plain'],
      id_token_signing_alg_values_supported: ['HS256'],
      jwks_uri: 'https://id.example.com/realm/no-keys',
    };
    const all = await found(({ state }) => Object.assign(state, { metadata: bad }));
    assert.deepEqual(
      all.map(({ level }) => level),
      ['error', 'error', 'warning', 'error'],
    );
    const text = all.map(({ message }) => message).join('\n');
    for (const part of [
      /signs by HS256; expected one of RS256/,
      /PKCE by plain; expected S256/,
      /scope profile, email of oidc-scopes/,
      /no-keys answers with HTTP 404/,
    ])
      assert.match(text, part);
  });

  it('is that it is away, or another', async () => {
    const [away] = await found(({ state }) => Object.assign(state, { away: true }));
    assert.match(away?.message ?? '', /can not be reached from here: connect ECONNREFUSED/);
    const [other] = await found(({ state }) => Object.assign(state, { metadata: { issuer: 'https://x' } }));
    assert.match(other?.message ?? '', /calls itself "https:\/\/x"; set oidc-issuer to exactly that/);
  });

  it('is told by events at a start, and nothing where no provider is set', async () => {
    const told: Event[] = [];
    const events = eventBus();
    events.on((event) => told.push(event));
    const issuer = makeIssuer(clock);
    issuer.state.away = true;
    await tellProvider(null, { clock, events, fetch: issuer.fetch });
    assert.deepEqual([told, issuer.state.asked], [[], []]);
    await tellProvider(settings, { clock, events, fetch: issuer.fetch });
    assert.deepEqual(
      told.map((event) => event.type === 'provider.finding' && event.severity),
      ['error'],
    );
  });
});
