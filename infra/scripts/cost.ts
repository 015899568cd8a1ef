// node infra/scripts/cost.ts: what a small fleet's deployment costs a month, as the README's table. Prices are AWS's list prices for
// Frankfurt as they were known when this was written, in USD, without free tiers, credits and taxes: look them up before you rely on them.

const hours = 730;
const minutes = hours * 60;

/** USD per hour, GB, million, ...: what is not named by its unit is per month. */
const price = {
  natInstanceHour: 0.0048,
  addressHour: 0.005,
  serverHour: 0.0192,
  diskGb: 0.0952,
  lambdaGbSecond: 0.0000133334,
  lambdaMillion: 0.2,
  gatewayMillion: 1.2,
  logGb: 0.63,
  alarm: 0.1,
  metric: 0.3,
};

/** A small fleet: ten servers, a hundred jobs, three people who look in now and then. */
const use = {
  apiMillions: 0.5,
  apiSeconds: 0.05,
  apiGb: 1,
  hoursOfLiveLogs: 20,
  watchdogSeconds: 0.3,
  watchdogGb: 0.5,
  logGb: 1,
  zones: 2,
  alarms: 6,
  metrics: 4,
};

const nat = price.natInstanceHour * hours + price.addressHour * hours + 2 * price.diskGb;
const rows: [what: string, how: string, usd: number][] = [
  ['Network', `${use.zones} NAT instances t4g.nano with an address each`, use.zones * nat],
  [
    'API',
    `${use.apiMillions} million requests of ${use.apiSeconds * 1_000} ms at ${use.apiGb} GB`,
    use.apiMillions * (price.lambdaMillion + price.gatewayMillion) +
      use.apiMillions * 1e6 * use.apiSeconds * use.apiGb * price.lambdaGbSecond,
  ],
  [
    'Live logs',
    `${use.hoursOfLiveLogs} hours of looking on, which hold a function each`,
    use.hoursOfLiveLogs * 3_600 * use.apiGb * price.lambdaGbSecond,
  ],
  [
    'Watchdog',
    `once a minute, ${use.watchdogSeconds * 1_000} ms at ${use.watchdogGb} GB`,
    minutes * use.watchdogSeconds * use.watchdogGb * price.lambdaGbSecond +
      (minutes / 1e6) * price.lambdaMillion,
  ],
  [
    'Logs, alarms, figures',
    `${use.logGb} GB, ${use.alarms} alarms, ${use.metrics} metrics`,
    use.logGb * price.logGb + use.alarms * price.alarm + use.metrics * price.metric,
  ],
  ['Site, CloudFront, settings', 'some megabytes; standard parameters cost nothing', 0.1],
];
const extras: typeof rows = [
  [
    'etcd of its own (`CRONFLEET_ETCD=yes`)',
    '3 × t4g.small with two disks of 8 GB, a third NAT',
    3 * (price.serverHour * hours + 16 * price.diskGb) + nat,
  ],
  ['MongoDB Atlas', 'M10; a Flex cluster from 8, none for a trial', 60],
];

const line = ([what, how, usd]: (typeof rows)[number]) => `| ${what} | ${how} | ${usd.toFixed(2)} |`;
const sum = rows.reduce((all, [, , usd]) => all + usd, 0);
console.log(
  [
    '| | what for | USD a month |',
    '|---|---|---|',
    ...rows.map(line),
    `| **Without stores** | | **${sum.toFixed(2)}** |`,
    ...extras.map(line),
  ].join('\n'),
);
