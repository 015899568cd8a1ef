/** What the functions read at run time; the names are those of functions/cloud/settings.ts. */
export function makeSettings(ours: {
  kv: $util.Output<string> | null;
  history: $util.Output<string> | null;
}) {
  const path = `/cronfleet/${$app.stage}`;
  const none = 'none';
  const set = (name: string, value: $util.Input<string>) =>
    new aws.ssm.Parameter(
      `Setting${name.replace(/(^|-)(.)/g, (_, _dash, letter: string) => letter.toUpperCase())}`,
      {
        name: `${path}/${name}`,
        type: 'SecureString',
        // What is longer than 4 KB, a chain of certificates say, is of the advanced tier, at 5 cents a month.
        tier: 'Intelligent-Tiering',
        value: $util.secret(value),
      },
    );
  const parameters = [
    set('kv', ours.kv ?? new sst.Secret('Kv').value),
    set('history', ours.history ?? new sst.Secret('History').value),
    set('kv-ca', new sst.Secret('KvCa', none).value),
    set('kv-cert', new sst.Secret('KvCert', none).value),
    set('kv-key', new sst.Secret('KvKey', none).value),
    set('first-token', firstToken()),
    // Whoever signs people in by a provider sets at least the first three.
    set('oidc-issuer', new sst.Secret('OidcIssuer', none).value),
    set('oidc-client', new sst.Secret('OidcClient', none).value),
    set('oidc-roles', new sst.Secret('OidcRoles', none).value),
    set('oidc-client-secret', new sst.Secret('OidcClientSecret', none).value),
    set('oidc-audience', new sst.Secret('OidcAudience', none).value),
    set('oidc-groups-claim', new sst.Secret('OidcGroupsClaim', none).value),
    set('oidc-scopes', new sst.Secret('OidcScopes', none).value),
  ];
  return { path, parameters };
}
export type Settings = ReturnType<typeof makeSettings>;

/** The first administrator's token. It counts only while the store has none at all. */
function firstToken(): $util.Output<string> {
  const id = new random.RandomString('FirstTokenId', { length: 16, upper: false, special: false });
  const secret = new random.RandomPassword('FirstTokenSecret', { length: 43, special: false });
  return $interpolate`cf_${id.result}_${secret.result}`;
}
