import { forOidc, type OidcTexts, oidcLacks, oidcParts } from '#core/cluster/oidc-settings.ts';
import { type Mistake, Refusal } from '#core/model/refusal.ts';

/** What functions in the cloud are told, by parameters of these names below one path. */
export interface CloudSettings extends OidcTexts {
  kv: string;
  history: string;
  /** PEM text: the authority that signed etcd's certificate, and the client's own certificate and key. */
  'kv-ca': string | null;
  'kv-cert': string | null;
  'kv-key': string | null;
  /** The text of an administrator's token, which is taken over where the store has no token at all. */
  'first-token': string | null;
}

interface Expectation {
  shape: { test(text: string): boolean };
  expected: string;
  needed: boolean;
}

const pem = /^-----BEGIN [A-Z ]+-----\s/;

const expectations: Record<keyof CloudSettings, Expectation> = {
  // A file would be another one in each copy of the function.
  kv: { shape: /^etcds?:\/\/./, expected: 'etcd://HOST:PORT,... or etcds://HOST:PORT,...', needed: true },
  history: { shape: /^mongodb(\+srv)?:\/\/./, expected: 'mongodb+srv://... or mongodb://...', needed: true },
  'kv-ca': { shape: pem, expected: 'a certificate in PEM', needed: false },
  'kv-cert': { shape: pem, expected: 'a certificate in PEM', needed: false },
  'kv-key': { shape: pem, expected: 'a private key in PEM', needed: false },
  'first-token': { shape: /^cf_[a-z0-9]{12,64}_[A-Za-z0-9_-]{43}$/, expected: 'cf_ID_SECRET', needed: false },
  ...forOidc((name) => ({ shape: oidcParts[name], expected: oidcParts[name].expected, needed: false })),
};

/** What stands in Parameter Store where nothing is meant: it takes no empty value. */
const nothing = 'none';

/**
 * Reads the parameters found below `path`. Refusal `settings_invalid` with all mistakes together; no value is shown, for most are secrets.
 */
export function readCloudSettings(
  path: string,
  found: Readonly<Record<string, string>>,
): Readonly<CloudSettings> {
  const mistakes: Mistake[] = [];
  const names = Object.keys(expectations) as (keyof CloudSettings)[];
  const read = Object.fromEntries(
    names.map((name) => {
      const { shape, expected, needed } = expectations[name];
      const text = found[name]?.trim() ?? nothing;
      const value = text === nothing ? null : text;
      const wrong =
        value === null ? (needed ? 'is missing' : null) : shape.test(value) ? null : 'is not valid';
      if (wrong !== null)
        mistakes.push({ path: name, message: `${path}/${name} ${wrong}; expected ${expected}`, expected });
      return [name, value];
    }),
  ) as unknown as CloudSettings;
  if ((read['kv-cert'] === null) !== (read['kv-key'] === null))
    mistakes.push({ path: 'kv-cert', message: `${path}/kv-cert and kv-key come together` });
  if (!mistakes.some(({ path: wrong }) => wrong.startsWith('oidc-')))
    for (const { name, message } of oidcLacks(read))
      mistakes.push({ path: name, message: `${path}/${name} ${message}` });
  if (mistakes.length > 0) {
    const strange = Object.keys(found).filter((name) => !Object.hasOwn(expectations, name));
    const besides = strange.length === 0 ? '' : `; ${strange.join(', ')} is not a setting`;
    throw new Refusal('settings_invalid', mistakes.map(({ message }) => message).join('; ') + besides, {
      errors: mistakes,
      retryAfter: 60,
    });
  }
  return Object.freeze(read);
}
