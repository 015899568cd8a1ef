import { makeAlarms } from './alarms.ts';
import { makeApi } from './api.ts';
import { makeAtlas } from './atlas.ts';
import { build } from './bundle.ts';
import { makeEtcd } from './etcd.ts';
import { makeNetwork, natAddresses } from './network.ts';
import { readOptions } from './options.ts';
import { outputsOf } from './outputs.ts';
import { makeSettings } from './settings.ts';
import { makeSite } from './site.ts';
import { makeWatchdog } from './watchdog.ts';

/** The whole deployment, from what is reached to who reaches it. */
export function deploy(env: Readonly<Record<string, string | undefined>>) {
  const options = readOptions(env, $app.stage);
  const { functions, site } = build();
  const network = makeNetwork(options);
  const kv = options.etcd ? makeEtcd(network) : null;
  const history = options.atlas === null ? null : makeAtlas(options, options.atlas, natAddresses(network));
  const settings = makeSettings({ kv, history });
  const place = { options, network, settings, functions };
  const api = makeApi(place);
  const router = makeSite(options, api, site);
  makeAlarms(options, api, makeWatchdog(place));
  return outputsOf(options, { router, api, network, settings, kv });
}
