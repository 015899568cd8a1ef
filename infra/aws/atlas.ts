import type { Options } from './options.ts';

/**
 * A MongoDB for who has none: a Flex cluster in a project of theirs at Atlas, which lets in the NAT's addresses and one user, who may read
 * and write one database. Gives its URL. Atlas's API keys are MONGODB_ATLAS_PUBLIC_KEY and MONGODB_ATLAS_PRIVATE_KEY.
 */
export function makeAtlas({ isProduction }: Options, projectId: string, addresses: $util.Output<string[]>) {
  const name = `cronfleet-${$app.stage}`;
  const cluster = new mongodbatlas.FlexCluster(
    'Atlas',
    {
      ...{ projectId, name, terminationProtectionEnabled: isProduction },
      providerSettings: { backingProviderName: 'AWS', regionName: atlasRegion(aws.getRegionOutput().region) },
    },
    { retainOnDelete: isProduction },
  );
  const password = new random.RandomPassword('AtlasPassword', { length: 32, special: false });
  new mongodbatlas.DatabaseUser('AtlasUser', {
    ...{ projectId, username: name, password: password.result, authDatabaseName: 'admin' },
    roles: [{ roleName: 'readWrite', databaseName: database }],
    scopes: [{ name, type: 'CLUSTER' }],
  });
  addresses.apply((all) =>
    all.map(
      (ipAddress, at) =>
        new mongodbatlas.ProjectIpAccessList(`AtlasAccess${at + 1}`, {
          ...{ projectId, ipAddress, comment: `${name}: NAT` },
        }),
    ),
  );
  return $util
    .all([cluster.connectionStrings, password.result])
    .apply(
      ([{ standardSrv }, secret]) => `${standardSrv.replace('://', `://${name}:${secret}@`)}/${database}`,
    );
}

const database = 'cronfleet';

/** Atlas writes AWS's regions like `EU_CENTRAL_1`. */
const atlasRegion = (region: $util.Output<string>) =>
  region.apply((name) => name.toUpperCase().replaceAll('-', '_'));
