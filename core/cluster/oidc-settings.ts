import { namePattern } from '#core/model/ids.ts';
import { type Role, roles } from './records.ts';

/** What a group of the provider's is here. */
interface GroupRole {
  /** `*`: whoever the provider lets in, whatever groups they are in. */
  group: string;
  role: Role;
  /** Groups of jobs; null: every group. */
  groups: readonly string[] | null;
}

/** By which OpenID Connect provider people sign in, and what they are here. */
export interface OidcSettings {
  /** As the provider writes it in its tokens. */
  issuer: string;
  clientId: string;
  /** Only for a provider that wants one beside PKCE. */
  clientSecret: string | null;
  /** Who tokens are meant for that this API takes, beside the client itself. */
  audience: string | null;
  /** Where a token has the groups: a claim's name, or a path of names with dots between. */
  groupsClaim: string;
  roles: readonly GroupRole[];
  /** By spaces. */
  scopes: string;
}

const word = /^[^\s\p{Cc}]{1,512}$/u;
const usual = { groupsClaim: 'groups', scopes: 'openid profile email' };

/** Every setting: what it is for, what is expected of its text, and whether a text is that. */
export const oidcParts = {
  'oidc-issuer': {
    value: 'URL',
    help: 'the OpenID Connect provider by which people sign in (none)',
    expected: 'https://HOST..., as the provider calls itself in its discovery document',
    test: isIssuer,
  },
  'oidc-client': {
    value: 'ID',
    help: 'what we are called there',
    expected: 'the id that the provider gave to this client',
    test: (text: string) => word.test(text),
  },
  'oidc-client-secret': {
    value: 'SECRET',
    help: 'where the provider wants one beside PKCE (none)',
    expected: 'the secret that the provider gave to this client',
    // Any is taken: what is wrong with a secret no message may show.
    test: (text: string) => text !== '',
  },
  'oidc-audience': {
    value: 'NAME',
    help: 'whom tokens are meant for that are taken, beside the client',
    expected: 'one word, as it stands in the claim aud',
    test: (text: string) => word.test(text),
  },
  'oidc-groups-claim': {
    value: 'CLAIM',
    help: `where a token has the groups: a name, or a path with dots (${usual.groupsClaim})`,
    expected: 'a claim such as groups or realm_access.roles',
    test: (text: string) => word.test(text),
  },
  'oidc-roles': {
    value: 'GROUP=ROLE,...',
    help: 'what a group may: ops=admin,dev=editor:web+batch,*=viewer',
    expected: `GROUP=ROLE or GROUP=ROLE:JOBGROUP+JOBGROUP, with commas between; roles are ${roles.join(', ')}; * is whoever signs in; a group with one of , ; = in its name stands in double quotes`,
    test: (text: string) => rolesOf(text) !== null,
  },
  'oidc-scopes': {
    value: 'SCOPES',
    help: `what is asked of the provider (${usual.scopes})`,
    expected: 'scopes with spaces between, openid among them',
    test: (text: string) => /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(text) && text.split(' ').includes('openid'),
  },
} as const;

export type OidcPart = keyof typeof oidcParts;
export const oidcNames = Object.keys(oidcParts) as OidcPart[];
/** A value for each of them. */
export function forOidc<T>(of: (name: OidcPart) => T): Record<OidcPart, T> {
  return Object.fromEntries(oidcNames.map((name) => [name, of(name)])) as Record<OidcPart, T>;
}
/** Each part's text; null: not set. */
export type OidcTexts = Readonly<Record<OidcPart, string | null>>;

/** What is missing among texts that are each as expected. */
export function oidcLacks(texts: OidcTexts): { name: OidcPart; message: string }[] {
  const set = oidcNames.filter((name) => texts[name] !== null);
  if (set.length === 0) return [];
  return (['oidc-issuer', 'oidc-client', 'oidc-roles'] as const)
    .filter((name) => texts[name] === null)
    .map((name) => ({
      name,
      message: `is missing beside ${set.join(', ')}; expected ${oidcParts[name].expected}`,
    }));
}

/** The settings that texts mean which are each as expected; null: nobody signs in by a provider. */
export function oidcOf(texts: OidcTexts): OidcSettings | null {
  const [issuer, clientId, mapping] = [texts['oidc-issuer'], texts['oidc-client'], texts['oidc-roles']];
  if (issuer === null || clientId === null || mapping === null) return null;
  return {
    ...{ issuer, clientId, clientSecret: texts['oidc-client-secret'], audience: texts['oidc-audience'] },
    groupsClaim: texts['oidc-groups-claim'] ?? usual.groupsClaim,
    roles: rolesOf(mapping) ?? [],
    scopes: texts['oidc-scopes'] ?? usual.scopes,
  };
}

/** What somebody of these groups may: of all that fit the greatest role, for every job group that one of its lines names. Null: nothing. */
export function roleOf(
  groups: readonly string[],
  mapping: readonly GroupRole[],
): { role: Role; groups: readonly string[] | null } | null {
  const fits = mapping.filter(({ group }) => group === '*' || groups.includes(group));
  const role = roles.findLast((one) => fits.some((fit) => fit.role === one));
  if (role === undefined) return null;
  const jobGroups = fits.filter((fit) => fit.role === role).map((fit) => fit.groups);
  return {
    role,
    groups: jobGroups.includes(null) ? null : [...new Set(jobGroups.flatMap((of) => of ?? []))],
  };
}

function isIssuer(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, search, hash, username } = new URL(text);
  // Whoever is between here and there would say who is who; on this machine itself nobody is.
  const safe =
    protocol === 'https:' || (protocol === 'http:' && /^(127\.0\.0\.1|localhost|\[::1\])$/.test(hostname));
  return (
    safe && search === '' && hash === '' && username === '' && !text.endsWith('?') && !text.endsWith('#')
  );
}

/** Null where the text is not that. */
function rolesOf(text: string): GroupRole[] | null {
  const line = /\s*(?:"([^"]+)"|([^",;=\s][^",;=]*?))\s*=\s*([a-z]+)\s*(?::\s*([^,\s]+)\s*)?(?:,|$)/y;
  const found: GroupRole[] = [];
  while (line.lastIndex < text.trimEnd().length) {
    const [, quoted, plain, name, jobGroups] = line.exec(text) ?? [];
    const role = roles.find((one) => one === name);
    const groups = jobGroups?.split('+') ?? null;
    if (role === undefined || groups?.some((group) => !namePattern.test(group))) return null;
    found.push({ group: quoted ?? plain ?? '', role, groups });
  }
  return found.length === 0 ? null : found;
}
