import type { Api } from './api.ts';
import { type Network, natAddresses } from './network.ts';
import type { Options } from './options.ts';
import type { Settings } from './settings.ts';

/** What `sst deploy` says at its end: where everything is, and what to do next. */
export function outputsOf(
  options: Options,
  {
    router,
    api,
    network,
    settings,
    kv,
  }: {
    router: sst.aws.Router;
    api: Api;
    network: Network;
    settings: Settings;
    kv: $util.Output<string> | null;
  },
) {
  const { path } = settings;
  return {
    url: router.url,
    api: api.gateway.url,
    settings: path,
    ...(kv === null ? {} : { etcd: kv }),
    // Atlas lets in whom its access list names.
    natAddresses: options.vpc === null ? natAddresses(network) : 'those of the VPC that was there',
    next1: `the first token: aws ssm get-parameter --name ${path}/first-token --with-decryption --query Parameter.Value --output text`,
    next2: $interpolate`is all well: CRONFLEET_URL=${router.url} CRONFLEET_TOKEN=cf_... npm run -s cli -- doctor`,
    next3: `change a setting, without a deploy: aws ssm put-parameter --overwrite --type SecureString --name ${path}/history --value mongodb+srv://...`,
  };
}
