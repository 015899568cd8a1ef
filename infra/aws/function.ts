import type { Network } from './network.ts';
import type { Options } from './options.ts';
import type { Settings } from './settings.ts';

export interface Place {
  options: Options;
  network: Network;
  settings: Settings;
  /** The folder of the bundle. */
  functions: string;
}

/** What the API's function and the watchdog's have in common. */
export function functionArgs({ options, network, settings, functions }: Place, handler: string) {
  const { region } = aws.getRegionOutput();
  const { accountId } = aws.getCallerIdentityOutput();
  const { partition } = aws.getPartitionOutput();
  const parameters = $interpolate`arn:${partition}:ssm:${region}:${accountId}:parameter${settings.path}`;
  return {
    bundle: functions,
    handler,
    runtime: 'nodejs24.x',
    architecture: 'arm64',
    vpc: network,
    environment: { CRONFLEET_SETTINGS: settings.path, CRONFLEET_STAGE: $app.stage },
    // Reading by path is judged on the path itself and on what lies below it.
    permissions: [
      { actions: ['ssm:GetParametersByPath'], resources: [parameters, $interpolate`${parameters}/*`] },
    ],
    logging: { retention: options.isProduction ? '6 months' : '1 month' },
  } satisfies sst.aws.FunctionArgs;
}
