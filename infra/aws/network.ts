import type { Options } from './options.ts';

/**
 * Where the functions run: private subnets from which etcd is reached within and MongoDB and Parameter Store by a NAT. In an existing VPC
 * the private subnets need a way out of their own.
 */
export function makeNetwork({ vpc, etcd, isProduction }: Options) {
  if (vpc !== null) return sst.aws.Vpc.get('Network', vpc);
  // A zone has its NAT and costs 7 USD a month: production outlives the loss of one, etcd's three servers lie in three.
  return new sst.aws.Vpc('Network', {
    ...{ nat: 'ec2', az: etcd ? 3 : isProduction ? 2 : 1 },
    // SST lets anybody in by any protocol; what a NAT forwards comes from within.
    transform: {
      natSecurityGroup: {
        ingress: [{ protocol: '-1', fromPort: 0, toPort: 0, cidrBlocks: ['10.0.0.0/16'] }],
      },
    },
  });
}
/** From where the functions reach what is outside. */
export function natAddresses(network: Network): $util.Output<string[]> {
  return network.nodes.elasticIps.apply((ips) => $util.all(ips.map(({ publicIp }) => publicIp)));
}

export type Network = ReturnType<typeof makeNetwork>;
