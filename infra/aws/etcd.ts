import type { Network } from './network.ts';

/**
 * An etcd for who has none: three small servers in three zones, each with a disk of its own that outlives it. It is an example to begin
 * with, and says so: within the VPC, in the clear, without users; whoever is let into its security group may do anything. Members are
 * not replaced, nor etcd upgraded, by this; infra/README.md says what to do by hand.
 */
export function makeEtcd(network: Network): $util.Output<string> {
  const { vpc, privateSubnets } = network.nodes;
  const group = new aws.ec2.SecurityGroup('EtcdGroup', {
    vpcId: vpc.id,
    description: 'cronfleet etcd: clients from within the VPC, members among themselves',
    ingress: [
      { protocol: 'tcp', fromPort: clientPort, toPort: clientPort, cidrBlocks: [vpc.cidrBlock] },
      { protocol: 'tcp', fromPort: peerPort, toPort: peerPort, self: true },
    ],
    // For the program itself, which comes through the NAT.
    egress: [
      { protocol: 'tcp', fromPort: 443, toPort: 443, cidrBlocks: ['0.0.0.0/0'] },
      { protocol: 'tcp', fromPort: peerPort, toPort: peerPort, self: true },
    ],
  });
  const image = aws.ssm.getParameterOutput({ name: imageName });
  const addresses = members.map((_, at) =>
    privateSubnets.apply((subnets) => hostIn(subnets[at]?.cidrBlock ?? $output('0.0.0.0/32'), hostNumber)),
  );
  members.forEach((name, at) => {
    const subnet = privateSubnets.apply((subnets) => subnets[at % subnets.length] as aws.ec2.Subnet);
    const disk = new aws.ebs.Volume(
      `EtcdDisk${at + 1}`,
      { availabilityZone: subnet.availabilityZone, size: 8, type: 'gp3', encrypted: true },
      { retainOnDelete: $app.removal !== 'remove' },
    );
    const server = new aws.ec2.Instance(
      `Etcd${at + 1}`,
      {
        ami: image.value,
        instanceType: 't4g.small',
        subnetId: subnet.id,
        privateIp: addresses[at],
        vpcSecurityGroupIds: [group.id],
        metadataOptions: { httpTokens: 'required' },
        rootBlockDevice: { encrypted: true, volumeSize: 8 },
        userData: $util.all(addresses).apply((all) => startScript(name, all, at)),
        // A new image is no reason to replace a member.
        tags: { Name: `cronfleet-${$app.stage}-${name}` },
      },
      { ignoreChanges: ['ami', 'userData'] },
    );
    new aws.ec2.VolumeAttachment(`EtcdDiskAt${at + 1}`, {
      ...{ deviceName: '/dev/sdf', volumeId: disk.id, instanceId: server.id },
    });
  });
  return $util
    .all(addresses)
    .apply((all) => `etcd://${all.map((address) => `${address}:${clientPort}`).join(',')}`);
}

const clientPort = 2379;
const peerPort = 2380;
const members = ['etcd-1', 'etcd-2', 'etcd-3'];
/** AWS keeps the first four addresses of a subnet for itself. */
const hostNumber = 10;
const imageName = '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64';
const version = '3.6.16';

function hostIn(cidr: $util.Input<string>, host: number): $util.Output<string> {
  return $output(cidr).apply((text) =>
    text.replace(/\d+\/\d+$/, (end) => String(Number(end.split('/')[0]) + host)),
  );
}

/** What a member's server does at its first start: takes its disk, gets etcd, checks it, and runs it as a service. */
function startScript(name: string, addresses: readonly string[], at: number): string {
  const me = addresses[at] ?? '';
  const cluster = members.map((member, i) => `${member}=http://${addresses[i]}:${peerPort}`).join(',');
  const archive = `etcd-v${version}-linux-arm64`;
  const from = `https://github.com/etcd-io/etcd/releases/download/v${version}`;
  return `#!/bin/bash
set -euo pipefail
# The disk is attached some seconds after the start.
until [ -b /dev/nvme1n1 ]; do sleep 1; done
blkid /dev/nvme1n1 || mkfs.xfs /dev/nvme1n1
mkdir -p /var/lib/etcd
echo '/dev/nvme1n1 /var/lib/etcd xfs defaults,noatime 0 2' >>/etc/fstab
mount /var/lib/etcd
cd /tmp
curl -fsSLO ${from}/${archive}.tar.gz
curl -fsSL ${from}/SHA256SUMS | grep ' ${archive}.tar.gz$' | sha256sum -c -
tar xzf ${archive}.tar.gz
install ${archive}/etcd ${archive}/etcdctl ${archive}/etcdutl /usr/local/bin/
useradd --system --home-dir /var/lib/etcd etcd || true
chown etcd: /var/lib/etcd
chmod 700 /var/lib/etcd
cat >/etc/systemd/system/etcd.service <<'UNIT'
[Unit]
Description=etcd of cronfleet
After=network-online.target
Wants=network-online.target
[Service]
Type=notify
User=etcd
ExecStart=/usr/local/bin/etcd --name ${name} --data-dir /var/lib/etcd/data \\
  --listen-client-urls http://${me}:${clientPort},http://127.0.0.1:${clientPort} --advertise-client-urls http://${me}:${clientPort} \\
  --listen-peer-urls http://${me}:${peerPort} --initial-advertise-peer-urls http://${me}:${peerPort} \\
  --initial-cluster ${cluster} --initial-cluster-token cronfleet --initial-cluster-state new \\
  --auto-compaction-mode periodic --auto-compaction-retention 1h --quota-backend-bytes 2147483648
Restart=always
RestartSec=2
LimitNOFILE=65536
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now etcd
`;
}
