/** What whoever deploys may choose, by variables of the environment or a `.env` file, which SST reads. */
export interface Options {
  /** A name of your own for the site and the API; null: CloudFront's. */
  domain: string | null;
  /** An existing VPC, from which etcd can be reached; null: one is made. */
  vpc: string | null;
  /** Whether three small etcd servers are made in the VPC. */
  etcd: boolean;
  /** A project of Atlas in which a MongoDB is made; null: the secret says where one is. */
  atlas: string | null;
  /** Who is written to when an alarm goes off. */
  alarmsTo: string | null;
  isProduction: boolean;
}

interface Choice {
  shape: RegExp;
  expected: string;
}

const choices = {
  CRONFLEET_DOMAIN: { shape: /^([a-z0-9-]+\.)+[a-z]{2,}$/, expected: 'a host name such as cron.example.com' },
  CRONFLEET_VPC: { shape: /^vpc-[0-9a-f]+$/, expected: "a VPC's id such as vpc-0a1b2c3d" },
  CRONFLEET_ETCD: { shape: /^(yes|no)$/, expected: 'yes or no' },
  CRONFLEET_ATLAS: { shape: /^[0-9a-f]{24}$/, expected: 'the id of a project at Atlas, 24 of [0-9a-f]' },
  CRONFLEET_ALARMS_TO: { shape: /^[^@\s]+@[^@\s]+$/, expected: 'an e-mail address' },
} satisfies Record<string, Choice>;

/** Reads them, all mistakes together. */
export function readOptions(env: Readonly<Record<string, string | undefined>>, stage: string): Options {
  const mistakes: string[] = [];
  const take = (name: keyof typeof choices): string | null => {
    const text = env[name]?.trim() ?? '';
    const { shape, expected } = choices[name];
    if (text !== '' && !shape.test(text))
      mistakes.push(`${name}: ${JSON.stringify(text)} is not valid; expected ${expected}`);
    return text === '' ? null : text;
  };
  const options = {
    domain: take('CRONFLEET_DOMAIN'),
    vpc: take('CRONFLEET_VPC'),
    etcd: take('CRONFLEET_ETCD') === 'yes',
    atlas: take('CRONFLEET_ATLAS'),
    alarmsTo: take('CRONFLEET_ALARMS_TO'),
    isProduction: stage === 'production',
  };
  const known = Object.keys(choices);
  // CRONFLEET_URL and CRONFLEET_TOKEN are the command line's.
  for (const name of Object.keys(env))
    if (/^CRONFLEET_(DOMAIN|VPC|ETCD|ATLAS|ALARM)/.test(name) && !known.includes(name))
      mistakes.push(`${name} is no choice of a deployment; expected one of ${known.join(', ')}`);
  const keys = ['MONGODB_ATLAS_PUBLIC_KEY', 'MONGODB_ATLAS_PRIVATE_KEY'];
  if (options.atlas !== null)
    for (const name of keys)
      if (!env[name]) mistakes.push(`${name} is missing: CRONFLEET_ATLAS needs an API key of that project`);
  if (options.atlas !== null && options.vpc !== null)
    mistakes.push('CRONFLEET_ATLAS: not with CRONFLEET_VPC, whose addresses Atlas would have to let in');
  if (options.isProduction && options.alarmsTo === null)
    mistakes.push('CRONFLEET_ALARMS_TO is missing: production has somebody who hears its alarms');
  if (mistakes.length > 0) throw new Error(mistakes.join('\n'));
  return options;
}
