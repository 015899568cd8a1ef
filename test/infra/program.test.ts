import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { readCloudSettings } from '#functions/cloud/settings.ts';
import { makeApp } from '#test/api/make-app.ts';
import { edgeOf } from './edge.ts';
import { type Made, type Program, runProgram } from './program.ts';

const ofType = ({ graph }: Program, type: string) => graph.filter((one) => one.type === type);
const named = ({ graph }: Program, name: string): Made => {
  const found = graph.find((one) => one.name === name);
  assert.ok(found, `there is no ${name}`);
  return found;
};
const functions = ['ApiFunction', 'WatchdogFunction'];
/** What the inline policies of a role allow. */
const allowed = (role: Made) =>
  role.inputs.inlinePolicies.flatMap(({ policy }: { policy: string }) => JSON.parse(policy).Statement);

let dev: Program;
let production: Program;
before(async () => {
  dev = await runProgram('dev');
  production = await runProgram('production', {
    CRONFLEET_ALARMS_TO: 'ops@example.com',
    CRONFLEET_DOMAIN: 'cron.example.com',
    CRONFLEET_ETCD: 'yes',
  });
});

describe('the deployment, any stage', () => {
  it('runs the bundle on ARM with Node 24, in private subnets, below the 30 s of its gateway', () => {
    for (const name of functions) {
      const { inputs } = named(dev, name);
      assert.deepEqual([inputs.runtime, inputs.architectures], ['nodejs24.x', ['arm64']]);
      assert.deepEqual(inputs.vpcConfig.subnetIds, ['NetworkPrivateSubnet1-id']);
      assert.equal(inputs.environment.variables.CRONFLEET_SETTINGS, '/cronfleet/dev');
      assert.equal(inputs.environment.variables.CRONFLEET_STAGE, 'dev');
      assert.equal(
        JSON.stringify(inputs.environment).includes('mongodb'),
        false,
        'a secret in the environment',
      );
    }
    assert.equal(named(dev, 'ApiFunction').inputs.handler, 'lambda.handler');
    assert.equal(named(dev, 'ApiFunction').inputs.timeout, 29);
    assert.equal(named(dev, 'WatchdogFunction').inputs.handler, 'watchdog.handler');
    assert.ok(named(dev, 'WatchdogFunction').inputs.timeout < 60);
  });

  it('has every setting that the functions read, as secrets, and no other', () => {
    const parameters = ofType(dev, 'aws:ssm/parameter:Parameter').map(({ inputs }) => inputs);
    for (const { type, name } of parameters) {
      assert.equal(type, 'SecureString', name);
      assert.match(name, /^\/cronfleet\/dev\/[a-z-]+$/);
    }
    const found = Object.fromEntries(
      parameters.map(({ name, value }) => [name.slice('/cronfleet/dev/'.length), value]),
    );
    const read = readCloudSettings('/cronfleet/dev', found);
    assert.deepEqual(Object.keys(found).sort(), Object.keys(read).sort());
    assert.deepEqual([read.kv, read['kv-ca']], ['etcd://10.0.1.10:2379', null]);
    assert.match(read['first-token'] ?? '', /^cf_a{16}_s{43}$/);
  });

  it('lets the functions read their own settings and nothing else', () => {
    const at = 'arn:aws:ssm:eu-central-1:123456789012:parameter/cronfleet/dev';
    for (const name of ['ApiRole', 'WatchdogRole']) {
      const role = named(dev, name);
      assert.deepEqual(allowed(role), [
        { actions: ['ssm:GetParametersByPath'], effect: 'Allow', resources: [at, `${at}/*`] },
      ]);
      // What AWS itself says that a function in a VPC needs: logs and network interfaces.
      assert.deepEqual(role.inputs.managedPolicyArns, [
        'arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole',
        'arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole',
      ]);
    }
  });

  it('allows nobody everything, nor anything on everything', () => {
    for (const program of [dev, production])
      for (const role of ofType(program, 'aws:iam/role:Role'))
        for (const { actions = [], resources = [] } of role.inputs.inlinePolicies ? allowed(role) : []) {
          for (const action of actions) assert.doesNotMatch(action, /\*/, role.name);
          assert.ok(!resources.includes('*'), role.name);
        }
  });

  it('looks once a minute, by a schedule that may start the watchdog alone', () => {
    const schedule = named(dev, 'WatchdogScheduleSchedule').inputs;
    assert.equal(schedule.scheduleExpression, 'rate(1 minute)');
    assert.match(schedule.target.arn, /WatchdogFunction$/);
    assert.equal(schedule.target.retryPolicy.maximumRetryAttempts, 0);
    assert.deepEqual(allowed(named(dev, 'WatchdogScheduleRole')), [
      { actions: ['lambda:InvokeFunction'], resources: [schedule.target.arn] },
    ]);
    assert.equal(named(dev, 'WatchdogEventInvokeConfig').inputs.maximumRetryAttempts, 0);
  });

  it('has the gateway call the API for everything, and polls and signs in no faster than functions may wait', () => {
    const routes = ofType(dev, 'aws:apigatewayv2/route:Route').map(({ inputs }) => inputs.routeKey);
    const slower = ['GET /api/v1/runs/{run}/log', 'POST /api/v1/sign-in', 'POST /api/v1/sign-in/renew'];
    assert.deepEqual(routes.sort(), ['$default', ...slower]);
    const stage = named(dev, 'GatewayStage').inputs;
    assert.deepEqual(
      stage.routeSettings.map(({ routeKey }: { routeKey: string }) => routeKey),
      slower,
    );
    for (const { throttlingRateLimit: rate } of stage.routeSettings)
      assert.ok(rate < stage.defaultRouteSettings.throttlingRateLimit);
    assert.deepEqual(named(dev, 'GatewayApi').inputs.corsConfiguration, {});
    for (const { inputs } of ofType(dev, 'aws:lambda/permission:Permission'))
      assert.match(inputs.sourceArn, /^arn:aws:execute-api:[\w-]+:\d+:abc123\//);
  });

  it('shows nothing to the public but CloudFront and the gateway', () => {
    for (const program of [dev, production]) {
      const block = named(program, 'SiteAssetsPublicAccessBlock').inputs;
      for (const what of [
        'blockPublicAcls',
        'blockPublicPolicy',
        'ignorePublicAcls',
        'restrictPublicBuckets',
      ])
        assert.equal(block[what], true, what);
      const policy = JSON.parse(named(program, 'SiteAssetsPolicy').inputs.policy).Statement;
      for (const { effect, principals } of policy)
        if (effect !== 'Deny') assert.deepEqual(principals[0].identifiers, ['cloudfront.amazonaws.com']);
      for (const { name, inputs } of ofType(program, 'aws:ec2/securityGroup:SecurityGroup'))
        for (const { cidrBlocks = [] } of inputs.ingress ?? [])
          assert.ok(!cidrBlocks.includes('0.0.0.0/0'), `${name} lets the world in`);
      assert.equal(ofType(program, 'aws:lambda/functionUrl:FunctionUrl').length, 0);
    }
  });

  it('keeps logs for as long as was said, and no longer', () => {
    const days = (program: Program) =>
      ofType(program, 'aws:cloudwatch/logGroup:LogGroup').map(({ inputs }) => inputs.retentionInDays);
    assert.deepEqual(days(dev), [30, 30, 30]);
    assert.deepEqual(days(production), [180, 180, 180]);
  });

  it('says at its end where everything is and what comes next', () => {
    const { outputs } = dev;
    assert.equal(outputs.url, 'https://d111.cloudfront.net');
    assert.equal(outputs.settings, '/cronfleet/dev');
    assert.deepEqual(outputs.natAddresses, ['198.51.100.7']);
    assert.equal(production.outputs.natAddresses.length, 3);
    assert.match(outputs.next1, /get-parameter --name \/cronfleet\/dev\/first-token --with-decryption/);
    assert.match(outputs.next2, /CRONFLEET_URL=https:\/\/d111\.cloudfront\.net .* doctor/);
  });
});

describe('the site', () => {
  const files = () => dev.graph.find(({ name }) => /\.BucketFiles$/.test(name))?.inputs;

  it('has its files with their types, kept by browsers where their names change, asked for anew where not', () => {
    const kinds = files().files.map(({ key, contentType, cacheControl }: Record<string, string>) => [
      key?.replace(/-\w+\./, '.'),
      contentType,
      cacheControl,
    ]);
    const forEver = 'public, max-age=31536000, immutable';
    assert.deepEqual(kinds.sort(), [
      ['index.html', 'text/html; charset=utf-8', 'no-cache'],
      ['main.js', 'text/javascript;charset=UTF-8', forEver],
      ['site.css', 'text/css;charset=UTF-8', forEver],
    ]);
    assert.equal(files().purge, false);
  });

  it('has its requests taken to the API, to files, and to the page for every address of its own', async () => {
    const edge = edgeOf(dev.graph);
    const script = files().files.find(({ key }: { key: string }) => key.endsWith('.js')).key;
    const gateway = 'abc123.execute-api.eu-central-1.amazonaws.com';
    for (const path of [
      ...[
        '/api/v1/jobs',
        '/api/v1/health',
        '/job/save',
        '/job/list',
        '/worker/list',
        '/openapi.json',
        '/docs',
        '/api/v1/sign-in',
        '/api/v1/sign-in/renew',
      ],
      '/api/v1/runs/default~a~20261126T063400.000Z~1/log',
    ])
      assert.deepEqual(
        await edge.take(path),
        { to: 'api', host: gateway, uri: path, readTimeoutS: 35 },
        path,
      );
    assert.equal((await edge.take('/api/v1/jobs/default/a', 'DELETE')).to, 'api');
    for (const path of [
      ...[
        '/',
        '/index.html',
        '/jobs/default/backup',
        '/jobs/default/backup.sh',
        '/workers',
        '/jobs',
        '/worker-1',
        '/sign-in',
      ],
      '/runs/default~a~20261126T063400.000Z~1',
    ])
      assert.deepEqual(await edge.take(path), { to: 'files', key: 'index.html' }, path);
    assert.deepEqual(await edge.take(`/${script}`), { to: 'files', key: script });
    assert.ok(edge.code.length <= 10_240, 'CloudFront takes functions of 10 KB');
  });

  it('has cookies taken to the API, and no answer of the API kept', () => {
    const { defaultCacheBehavior: behavior } = named(dev, 'RouterCdnDistribution').inputs;
    // AWS's own policy AllViewerExceptHostHeader.
    assert.equal(behavior.originRequestPolicyId, 'b689b0a8-53d0-40ab-baf2-68738e2966ac');
    const [policy] = ofType(dev, 'aws:cloudfront/cachePolicy:CachePolicy');
    assert.deepEqual([policy?.inputs.defaultTtl, policy?.inputs.minTtl], [0, 0]);
    assert.ok(behavior.allowedMethods.includes('POST') && !behavior.cachedMethods.includes('POST'));
  });

  it('lets nothing in but itself, by the same headers that the API sets on its own answers', async () => {
    const { code } = named(dev, 'RouterCloudfrontFunctionResponse').inputs;
    assert.ok(code.length <= 10_240);
    const run = new Function('event', `${code.replace(/import cf .*\n/, '')}\nreturn handler(event);`);
    const { headers } = (await run({ response: { headers: {} } })) as {
      headers: Record<string, { value: string }>;
    };
    const api = await makeApp();
    const answer = await api.ask('GET', '/docs', { as: null });
    await api.close();
    const ours = ['content-security-policy', 'x-content-type-options', 'referrer-policy'];
    for (const name of [...ours, 'cross-origin-opener-policy', 'cross-origin-resource-policy'])
      assert.equal(headers[name]?.value, answer.headers.get(name), name);
    assert.equal(headers['strict-transport-security']?.value, 'max-age=31536000');
    const cdn = named(dev, 'RouterCdnDistribution').inputs.defaultCacheBehavior;
    assert.equal(cdn.viewerProtocolPolicy, 'redirect-to-https');
  });
});

describe('production', () => {
  it('is protected, and keeps on removal what holds data', () => {
    assert.equal(production.outputs._protect, true);
    assert.equal(dev.outputs._protect, false);
    for (const name of ['NetworkVpc', 'NetworkPrivateSubnet1', 'EtcdDisk1', 'EtcdDisk2', 'EtcdDisk3'])
      assert.equal(named(production, name).retainOnDelete, true, name);
    assert.equal(named(dev, 'NetworkVpc').retainOnDelete, false);
    // What is made from the sources goes with the rest.
    assert.equal(named(production, 'SiteAssetsBucket').retainOnDelete, false);
  });

  it('has a domain of its own with a certificate, where one was named', () => {
    assert.equal(production.outputs.url, 'https://cron.example.com');
    assert.deepEqual(named(production, 'RouterCdnDistribution').inputs.aliases, ['cron.example.com']);
    assert.equal(ofType(production, 'aws:acm/certificate:Certificate').length, 1);
    assert.equal(ofType(dev, 'aws:acm/certificate:Certificate').length, 0);
  });

  it('adds alarms, each of which somebody hears, a silent watchdog among them', () => {
    const alarms = ofType(production, 'aws:cloudwatch/metricAlarm:MetricAlarm');
    assert.deepEqual(alarms.map(({ name }) => name).sort(), [
      ...['ApiErrors', 'ApiThrottled', 'JobsOverdue', 'WatchdogErrors', 'WatchdogSilent', 'WorkersDead'],
    ]);
    for (const { name, inputs } of alarms) {
      assert.match(inputs.alarmActions[0], /Alarms$/, name);
      assert.ok(inputs.alarmDescription.length > 20, name);
      if (inputs.namespace === 'AWS/Lambda')
        assert.match(inputs.dimensions.FunctionName, /(Api|Watchdog)Function/);
      else assert.deepEqual(inputs.dimensions, { Stage: 'production' });
    }
    const silent = named(production, 'WatchdogSilent').inputs;
    assert.deepEqual(
      [silent.metricName, silent.comparisonOperator, silent.threshold, silent.treatMissingData],
      ['Invocations', 'LessThanThreshold', 1, 'breaching'],
    );
    assert.equal(named(production, 'AlarmsByMail').inputs.endpoint, 'ops@example.com');
    assert.equal(ofType(dev, 'aws:cloudwatch/metricAlarm:MetricAlarm').length, 0);
  });

  it('is refused without somebody who hears its alarms, and with every other mistake beside', async () => {
    await assert.rejects(
      runProgram('production', {
        CRONFLEET_DOMAIN: 'https://x',
        CRONFLEET_ETCD: 'maybe',
        CRONFLEET_ALARM_TO: 'x',
      }),
      (error: Error) => {
        for (const part of [
          /CRONFLEET_DOMAIN: "https:\/\/x" is not valid; expected a host name/,
          /CRONFLEET_ETCD: "maybe" is not valid; expected yes or no/,
          /CRONFLEET_ALARM_TO is no choice/,
          /CRONFLEET_ALARMS_TO is missing/,
        ])
          assert.match(error.message, part);
        return true;
      },
    );
  });
});

describe('an etcd of ours', () => {
  it('is three servers in three zones on disks of their own, for the VPC and for each other only', () => {
    const servers = ['Etcd1', 'Etcd2', 'Etcd3'].map((name) => named(production, name).inputs);
    assert.equal(new Set(servers.map(({ subnetId }) => subnetId)).size, 3);
    for (const { subnetId, metadataOptions } of servers) {
      assert.match(subnetId, /PrivateSubnet/);
      assert.equal(metadataOptions.httpTokens, 'required');
    }
    for (const name of ['EtcdDisk1', 'EtcdDisk2', 'EtcdDisk3'])
      assert.equal(named(production, name).inputs.encrypted, true);
    const { ingress } = named(production, 'EtcdGroup').inputs;
    assert.deepEqual(ingress, [
      { protocol: 'tcp', fromPort: 2379, toPort: 2379, cidrBlocks: ['10.0.0.0/16'] },
      { protocol: 'tcp', fromPort: 2380, toPort: 2380, self: true },
    ]);
    const kv = named(production, 'SettingKv').inputs.value;
    assert.match(kv, /^etcd:\/\/10\.0\.\d+\.10:2379,10\.0\.\d+\.10:2379,10\.0\.\d+\.10:2379$/);
    assert.deepEqual(kv, `etcd://${servers.map(({ privateIp }) => `${privateIp}:2379`).join(',')}`);
  });

  it('is not made unless it is asked for, and then the secret says where one is', () => {
    assert.equal(
      dev.graph.some(({ name }) => name.startsWith('Etcd')),
      false,
    );
    assert.equal(named(dev, 'SettingKv').inputs.value, 'etcd://10.0.1.10:2379');
  });
});

describe('a MongoDB of ours', () => {
  const project = 'a'.repeat(24);
  const keys = { MONGODB_ATLAS_PUBLIC_KEY: 'x', MONGODB_ATLAS_PRIVATE_KEY: 'y' };

  it('is a cluster at Atlas that lets in the NAT and one user, for one database', async () => {
    const program = await runProgram('dev', { CRONFLEET_ATLAS: project, ...keys });
    const { name, projectId, providerSettings } = named(program, 'Atlas').inputs;
    assert.deepEqual(
      [name, projectId, providerSettings.regionName],
      ['cronfleet-dev', project, 'EU_CENTRAL_1'],
    );
    const { roles, scopes, password } = named(program, 'AtlasUser').inputs;
    assert.deepEqual(roles, [{ roleName: 'readWrite', databaseName: 'cronfleet' }]);
    assert.deepEqual(scopes, [{ name: 'cronfleet-dev', type: 'CLUSTER' }]);
    const access = ofType(program, 'mongodbatlas:index/projectIpAccessList:ProjectIpAccessList');
    assert.deepEqual(
      access.map(({ inputs }) => inputs.ipAddress),
      ['198.51.100.7'],
    );
    assert.equal(
      named(program, 'SettingHistory').inputs.value,
      `mongodb+srv://cronfleet-dev:${password}@cluster.x.mongodb.net/cronfleet`,
    );
    assert.equal(named(program, 'Atlas').retainOnDelete, false);
    assert.equal(
      dev.graph.some(({ type }) => type.startsWith('mongodbatlas:')),
      false,
    );
  });

  it('is refused without the keys of its project, or in a network whose addresses nobody knows', async () => {
    await assert.rejects(
      runProgram('dev', { CRONFLEET_ATLAS: project, CRONFLEET_VPC: 'vpc-0a1b' }),
      /MONGODB_ATLAS_PUBLIC_KEY is missing[\s\S]*PRIVATE_KEY is missing[\s\S]*not with CRONFLEET_VPC/,
    );
  });
});
