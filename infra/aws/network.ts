import type { Options } from './options.ts';

/**
 * Where the functions run: private subnets from which etcd is reached within and MongoDB and Parameter Store by a NAT. In an existing VPC
 * the private subnets need a way out of their own.
 */
export function makeNetwork({ vpc, etcd }: Options) {
  if (vpc !== null) return sst.aws.Vpc.get('Network', vpc);
  // A NAT for each zone: one is enough but for etcd, whose three servers lie in three.
  return new sst.aws.Vpc('Network', {
    ...{ nat: 'ec2', az: etcd ? 3 : 2 },
    // SST lets anybody in by any protocol; what a NAT forwards comes from within.
    transform: {
      natSecurityGroup: {
        ingress: [{ protocol: '-1', fromPort: 0, toPort: 0, cidrBlocks: ['10.0.0.0/16'] }],
      },
    },
  });
}
export type Network = ReturnType<typeof makeNetwork>;
