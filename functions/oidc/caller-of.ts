import { type OidcSettings, roleOf } from '#core/cluster/oidc-settings.ts';
import { Refusal } from '#core/model/refusal.ts';
import type { Caller } from '../deps.ts';
import type { Claims } from './verify.ts';

/** Of a refusal: so many groups are listed. */
const listed = 20;

/** Who a verified token says this is, and what that may do here. Refusal `no_role`, which names what to set. */
export function callerOf(claims: Claims, { groupsClaim, roles }: OidcSettings): Caller {
  const name = nameOf(claims);
  const groups = groupsOf(claims, groupsClaim);
  const role = roleOf(groups, roles);
  if (role === null) throw new Refusal('no_role', whyNone(name, groups, claims, groupsClaim));
  return { name, ...role };
}

/** Never the name of a token: who may choose what the provider calls them would be somebody else in the audit. */
function nameOf(claims: Claims): string {
  const said = ['preferred_username', 'email', 'name', 'sub'].map((claim) => claims[claim]);
  const name = said.find((one) => typeof one === 'string' && one.trim() !== '') as string;
  return `oidc:${name
    .replace(/\p{Cc}/gu, ' ')
    .toWellFormed()
    .slice(0, 120)}`;
}

/** The claim by its whole name, which may have dots, or along a path; one text is a list of one. */
function groupsOf(claims: Claims, claim: string): string[] {
  // An address that nobody proved to have is not a proof of anything; that it was proved some providers write as a text, some not at all.
  if (claim === 'email' && ![true, 'true', undefined].some((one) => one === claims.email_verified)) return [];
  const value = Object.hasOwn(claims, claim)
    ? claims[claim]
    : claim.split('.').reduce<unknown>((at, part) => fieldOf(at, part), claims);
  return (Array.isArray(value) ? value : [value]).filter((one) => typeof one === 'string');
}

function fieldOf(value: unknown, field: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, field)) return undefined;
  return (value as Record<string, unknown>)[field];
}

function whyNone(name: string, groups: readonly string[], claims: Claims, claim: string): string {
  const shown = groups.slice(0, listed).map((group) => JSON.stringify(group));
  const more = groups.length > listed ? ` and ${groups.length - listed} more` : '';
  const start = `${name} is known, and has no role here: `;
  if (groups.length > 0)
    return `${start}its groups, by the claim ${claim}, are ${shown.join(', ')}${more}; oidc-roles has a line for none of them`;
  // Entra ID leaves them out where there are over 200.
  if (fieldOf(claims._claim_names, claim) !== undefined)
    return `${start}the provider left its groups out, because they are too many; have it send only those assigned to this application`;
  return `${start}the token has no groups, by the claim ${claim}; have the provider put them in, or set oidc-groups-claim; oidc-roles says what each may`;
}
