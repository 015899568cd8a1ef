import { Refusal } from '#core/model/refusal.ts';
import { isPem, withPem } from '#core/stores/kv/etcd/pem.ts';
import { readParameters } from '#core/stores/parameter-store.ts';
import type { Texts } from './settings.ts';

/** What is each host's own, and never the fleet's. */
const ofTheHost = ['data', 'id', 'listen', 'ssm'];
/** What stands in Parameter Store where nothing is meant: it takes no empty value. */
const nothing = 'none';

/**
 * What Parameter Store says there of settings of these names; the same path may be that of the functions in the cloud, whose further names
 * are not ours. Refusals `settings_unreadable`, and `settings_invalid` where there is nothing at all or what should be a certificate is none.
 */
export async function textsAt(
  { region, path }: { region: string | null; path: string },
  names: readonly string[],
): Promise<Texts> {
  const found = await readParameters(path, region);
  const text = (name: string): string | null => {
    const value = found[name]?.trim() ?? nothing;
    return value === nothing ? null : value;
  };
  const where = `${region === null ? '' : `${region}:`}${path}`;
  if (Object.keys(found).length === 0)
    throw new Refusal(
      'settings_invalid',
      `ssm: there is nothing below ${where} in Parameter Store; expected parameters such as ${path}/kv and ${path}/history`,
    );
  const texts: Texts = {};
  for (const name of names) {
    const value = text(name);
    if (value === null || ofTheHost.includes(name)) continue;
    texts[name] = { text: value, from: `Parameter Store ${where}/${name}`, secret: true };
  }
  const pem = { ca: text('kv-ca'), cert: text('kv-cert'), key: text('kv-key') };
  for (const [name, value] of Object.entries(pem))
    if (value !== null && !isPem(value))
      throw new Refusal(
        'settings_invalid',
        `Parameter Store ${where}/kv-${name}: what stands there is not valid; expected PEM`,
      );
  // They belong to the store that is named beside them, and to no other.
  if (texts.kv !== undefined) texts.kv.text = withPem(texts.kv.text, pem);
  return texts;
}
