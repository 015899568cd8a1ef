// Runs the deployment's program under Pulumi's mocks and writes the graph of what it would make. Bundled by program.ts the way SST bundles
// it, so that it imports SST's own components; it is no module of ours, which is why it is not TypeScript.
import * as pulumi from '@pulumi/pulumi';
import { run } from '$platform/src/auto/run.ts';

const resources = [];
/** How much has been made and looked up. */
let made = 0;
const { CONFIG_APP } = process.env;
const app = JSON.parse(CONFIG_APP ?? '{}');

/** What AWS would answer with, as far as the program goes on from it. */
const outputs = {
  'aws:ec2/instance:Instance': ({ name }) => ({ primaryNetworkInterfaceId: `eni-${name}` }),
  'aws:ec2/eip:Eip': () => ({ publicIp: '198.51.100.7', allocationId: 'eipalloc-1' }),
  'aws:ec2/vpc:Vpc': () => ({ cidrBlock: '10.0.0.0/16', defaultSecurityGroupId: 'sg-default' }),
  'aws:cloudfront/distribution:Distribution': () => ({
    domainName: 'd111.cloudfront.net',
    hostedZoneId: 'Z2FDTNDATAQYW2',
  }),
  'aws:apigatewayv2/api:Api': () => ({
    apiEndpoint: 'https://abc123.execute-api.eu-central-1.amazonaws.com',
    executionArn: 'arn:aws:execute-api:eu-central-1:123456789012:abc123',
  }),
  'aws:lambda/function:Function': ({ inputs, name }) => ({
    invokeArn: `arn:aws:apigateway:eu-central-1:lambda:path/${name}/invocations`,
    qualifiedArn: `arn:aws:lambda:eu-central-1:123456789012:function:${name}:1`,
    name: inputs.name ?? name,
  }),
  'aws:acm/certificate:Certificate': ({ inputs }) => ({
    domainValidationOptions: [
      {
        domainName: inputs.domainName,
        resourceRecordName: '_x.example.com',
        resourceRecordType: 'CNAME',
        resourceRecordValue: 'y',
      },
    ],
  }),
  'aws:s3/bucket:Bucket': ({ name }) => ({
    bucket: name,
    bucketRegionalDomainName: `${name}.s3.eu-central-1.amazonaws.com`,
  }),
  'aws:s3/bucketV2:BucketV2': ({ name }) => ({
    bucket: name,
    bucketRegionalDomainName: `${name}.s3.eu-central-1.amazonaws.com`,
  }),
  'mongodbatlas:index/flexCluster:FlexCluster': () => ({
    connectionStrings: { standardSrv: 'mongodb+srv://cluster.x.mongodb.net' },
  }),
  'random:index/randomString:RandomString': ({ inputs }) => ({ result: 'a'.repeat(inputs.length) }),
  'random:index/randomPassword:RandomPassword': ({ inputs }) => ({ result: 's'.repeat(inputs.length) }),
};

/** What looking something up would find. A policy's document is what was asked for, or an assertion about it would mean nothing. */
const calls = {
  'aws:iam/getPolicyDocument:getPolicyDocument': (inputs) => ({
    ...inputs,
    json: JSON.stringify({ Statement: inputs.statements }),
  }),
  'aws:index/getRegion:getRegion': () => ({
    region: 'eu-central-1',
    name: 'eu-central-1',
    id: 'eu-central-1',
  }),
  'aws:index/getCallerIdentity:getCallerIdentity': () => ({ accountId: '123456789012' }),
  'aws:index/getPartition:getPartition': () => ({ partition: 'aws' }),
  'aws:index/getAvailabilityZones:getAvailabilityZones': () => ({
    names: ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'],
    zoneIds: ['euc1-az1', 'euc1-az2', 'euc1-az3'],
  }),
  'aws:ec2/getAmi:getAmi': () => ({ id: 'ami-nat', imageId: 'ami-nat' }),
  'aws:ssm/getParameter:getParameter': () => ({ value: 'ami-linux' }),
  'aws:route53/getZone:getZone': () => ({ zoneId: 'Z1', name: 'example.com' }),
};

pulumi.runtime.setMocks(
  {
    newResource(args) {
      made += 1;
      const { type, name, inputs } = args;
      resources.push({ type, name, inputs, custom: args.custom });
      const arn = `arn:aws:${type.split(':')[1]?.split('/')[0]}:eu-central-1:123456789012:${name}`;
      return { id: `${name}-id`, state: { arn, ...inputs, ...outputs[type]?.(args) } };
    },
    call({ token, inputs }) {
      made += 1;
      return calls[token]?.(inputs) ?? inputs;
    },
  },
  app.name,
  app.stage,
  false,
);

/** How each resource is kept. */
const options = new Map();
const note = ({ type, name, opts }) => {
  options.set(`${type} ${name}`, opts);
  return undefined;
};

const failed = (error) => {
  process.stdout.write(`\n${JSON.stringify({ error: error?.message ?? String(error) })}\n`);
  process.exit(0);
};
process.on('unhandledRejection', failed);
process.on('uncaughtException', failed);

let told = null;
try {
  const { default: config } = await import('$config');
  await pulumi.runtime.runInPulumiStack(async () => {
    told = await run(async () => {
      // After SST's own, which say what is retained.
      pulumi.runtime.registerStackTransformation(note);
      return await config.run();
    });
    return told;
  });
} catch (error) {
  failed(error);
}

// The functions come some turns after everything else: the graph is whole when nothing has come for so many turns of our own, and nothing
// is asked of anybody. Turns and not time: a loaded host may leave us none of them for seconds, and then nothing can come either.
const idle = ['PipeWrap', 'Timeout'];
const underWay = () => process.getActiveResourcesInfo().some((name) => !idle.includes(name));
for (let [still, came] = [0, made]; still < 20; ) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  still = came === made && !underWay() ? still + 1 : 0;
  came = made;
}

/** Plain values, secrets shown: they are mocks. */
const plain = async (value) => {
  const read = await value;
  if (pulumi.Output.isInstance(read)) return plain(await read.promise(true));
  if (Array.isArray(read)) return Promise.all(read.map(plain));
  if (typeof read !== 'object' || read === null) return read;
  if ('4dabf18193072939515e22adb298388d' in read && 'value' in read) return plain(read.value);
  // Of SST's own resources: the text of the code that makes them.
  const { __provider: _, ...rest } = read;
  const entries = await Promise.all(Object.entries(rest).map(async ([key, one]) => [key, await plain(one)]));
  return Object.fromEntries(entries);
};
const graph = await Promise.all(
  resources.map(async ({ type, name, inputs }) => {
    const {
      retainOnDelete = false,
      protect = false,
      ignoreChanges = [],
    } = options.get(`${type} ${name}`) ?? {};
    return { type, name, inputs: await plain(inputs), retainOnDelete, protect, ignoreChanges };
  }),
);
process.stdout.write(`\n${JSON.stringify({ graph, outputs: await plain(told) })}\n`);
process.exit(0);
