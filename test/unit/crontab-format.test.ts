import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as v from 'valibot';
import { formatCrontab } from '#core/crontab/format.ts';
import { joinCommand, splitCommand } from '#core/crontab/input.ts';
import { type CrontabOptions, parseCrontab } from '#core/crontab/parse.ts';
import { readVariable, writeVariable } from '#core/crontab/variable.ts';
import { Job, type JobInput } from '#core/model/job.ts';

const options: CrontabOptions = {
  kind: 'user',
  zone: 'Europe/Berlin',
  owner: 'ann',
  homeOf: (user) => `/home/${user}`,
};
const job = (input: JobInput) =>
  v.parse(Job, { overlap: 'allow', catchUp: 'none', timezone: 'Europe/Berlin', ...input });
const jobsOf = (text: string, how: CrontabOptions) =>
  parseCrontab(text, how).jobs.map((one) => v.parse(Job, one.job));
const byName = (jobs: Job[]) => jobs.sort((a, b) => (a.name < b.name ? -1 : 1));

const words = fc.string({
  unit: fc.constantFrom('a', 'b', ' ', '%', '\\', '"', "'", '#', '=', '$', 'é', '\t'),
  maxLength: 12,
});
const value = fc.constantFrom(
  '1',
  'two words',
  '',
  ' kept ',
  '"',
  "it's",
  '$X',
  '#',
  '/usr/bin:/bin',
  '/home/ann',
);
const time = fc.constantFrom('* * * * *', '*/5 0-6 * * mon', '@daily', '0 0 1,15 * 5', '~ * * * *');
const line = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(time, fc.constantFrom('', 'root ', 'ann '), words)
      .map(([at, user, rest]) => `${at} ${user}x${rest}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('A', 'B', 'PATH', 'HOME', 'SHELL', 'MAILTO'), value)
      .map(([name, text]) => `${name}="${text}"`),
  },
  fc.tuple(fc.constantFrom('A', 'B', 'C'), value).map(([name, text]) => `${name} = ${text}`),
  fc.constantFrom(
    'CRON_TZ=UTC',
    'CRON_TZ=Asia/Tokyo',
    '',
    '# remark',
    '#0 1 * * * taken out',
    '# two\n# lines',
    '@reboot x',
    'nonsense',
  ),
);
const table = fc.array(line, { maxLength: 20 }).map((lines) => lines.join('\n'));

describe('a crontab that was read and is written', () => {
  for (const kind of ['user', 'system'] as const)
    for (const flavour of ['vixie', 'cronie'] as const)
      it(`is read as the same jobs under the same names (${kind} table, ${flavour})`, () => {
        fc.assert(
          fc.property(table, (text) => {
            const how = { ...options, kind, flavour };
            const jobs = jobsOf(text, how);
            const written = formatCrontab(jobs, how);
            assert.doesNotMatch(written, /is not here/);
            assert.deepEqual(byName(jobsOf(written, how)), byName(jobs), written);
          }),
          { numRuns: 500 },
        );
      });

  it('loses no line: each becomes a job, stands in the list with its reason, or is a comment or variable', () => {
    fc.assert(
      fc.property(table, (text) => {
        const { jobs, refused } = parseCrontab(text, options);
        const told = new Set([...jobs, ...refused].map((one) => one.line));
        assert.ok(
          refused.every(
            ({ reason, text: of, line: at }) => reason.length > 10 && text.split('\n')[at - 1]?.includes(of),
          ),
        );
        for (const [at, one] of text.split('\n').entries())
          if (one.trim() !== '' && !one.startsWith('#') && !told.has(at + 1))
            assert.notEqual(readVariable(one), null, one);
      }),
    );
  });

  it('keeps every command, input and value, or says that no line can', () => {
    const anything = fc.string({
      unit: fc.constantFrom('a', ' ', '%', '\\', '\n', '"', "'", '='),
      maxLength: 8,
    });
    fc.assert(
      fc.property(
        anything,
        fc.option(anything),
        fc.constantFrom('vixie', 'cronie'),
        (command, stdin, flavour) => {
          const text = joinCommand({ command, stdin }, flavour);
          if (text !== null) assert.deepEqual(splitCommand(text, flavour), { command, stdin });
          // What does not end in a new line, and new lines where none can stand, are all that is out of reach of a Vixie cron.
          else if (flavour === 'vixie')
            assert.ok(/\n/.test(command) || stdin === '' || !stdin?.endsWith('\n') || /\\\n/.test(stdin));
          const line = writeVariable({ name: 'A', value: command });
          if (line !== null) assert.deepEqual(readVariable(line), { name: 'A', value: command });
        },
      ),
    );
  });
});

describe('a crontab of jobs that were made elsewhere', () => {
  it('says at each what it can not say, and why a job is not there', () => {
    const written = formatCrontab(
      [
        job({ name: 'argv', argv: ['a', 'b'], schedule: '* * * * *' }),
        job({ name: 'hand', command: 'a' }),
        job({ name: 'off', command: 'a', schedule: '@daily', enabled: false }),
        job({ name: 'except', command: 'a', schedule: '@daily', except: ['2026-12-25'] }),
        job({ name: 'seconds', command: 'a', schedule: '* * * * * *' }),
        job({ name: 'last', command: 'a', schedule: '0 0 L * *' }),
        job({ name: 'every', command: 'a', schedule: '@every 90s' }),
        job({ name: 'lines', command: 'a\nb', schedule: '@daily' }),
        job({ name: 'bob', command: 'a', schedule: '@daily', user: 'bob' }),
        v.parse(Job, {
          name: 'rich',
          command: 'rich',
          schedule: ['@daily', '0 1 * * *'],
          timezone: 'Asia/Tokyo',
          retry: { attempts: 3 },
          timeout: '5m',
        }),
      ],
      { ...options, kind: 'user' },
    );
    for (const name of ['argv', 'hand', 'off', 'except', 'seconds', 'last', 'every', 'lines', 'bob'])
      assert.match(written, new RegExp(`^#: default/${name} is not here: it .{10}`, 'm'));
    assert.match(written, /^#: default\/rich is here without .*overlap skip.*timeout 5m.*retry 3/m);
    assert.match(written, /^CRON_TZ=Asia\/Tokyo$/m);
    assert.deepEqual(
      parseCrontab(written, options).jobs.map(({ job: one }) => [
        one.command,
        one.schedule,
        one.timezone,
        one.description,
      ]),
      [
        ['rich', '@daily', 'Asia/Tokyo', undefined],
        ['rich', '0 1 * * *', 'Asia/Tokyo', undefined],
      ],
    );
  });

  it('brings variables along in the command where the lines above would leave others in its way', () => {
    const env = (more: Record<string, string>) => ({ PATH: '/usr/bin:/bin', ...more });
    const jobs = [
      job({ name: 'a', command: 'a', schedule: '@daily', env: env({ A: '50% "off"' }) }),
      job({
        name: 'b',
        command: 'b; c',
        schedule: '0 1 * * *',
        env: env({ B: "it's" }),
        cwd: '/srv/my data',
      }),
      job({ name: 'c', command: 'c', schedule: '@daily', env: env({ B: '1' }), shell: '/usr/bin/python3' }),
    ];
    const written = formatCrontab(jobs, options);
    assert.match(written, /^0 1 \* \* \* export B='it'\\''s'; cd '\/srv\/my data' \|\| exit; b; c$/m);
    assert.match(written, /^A=50% "off"$/m);
    assert.match(written, /^#: default\/c is not here: it must not see the variables of the others/m);
    // Neither sees the other's.
    const read = parseCrontab(written, options).jobs.map(({ job: { command = '', env: has = {} } }) => [
      command?.slice(0, 8),
      'A' in has,
      'B' in has,
    ]);
    assert.deepEqual(read, [
      ['export B', false, false],
      ['a', true, false],
    ]);
  });

  const zoned = (...rows: [name: string, zone: string, more?: JobInput['env']][]) =>
    formatCrontab(
      rows.map(([name, timezone, env = {}]) =>
        job({ name, command: name, schedule: '@daily', timezone, env: { PATH: '/usr/bin:/bin', ...env } }),
      ),
      options,
    )
      .match(/^(?:@daily \S+|CRON_TZ=\S+)/gm)
      ?.map((line) => line.replace('@daily ', ''));
  const [berlin, tokyo, utc] = ['Europe/Berlin', 'Asia/Tokyo', 'UTC'];

  it('has the jobs of a zone together, those of the machine first', () => {
    assert.deepEqual(
      zoned(['a', utc], ['b', berlin], ['c', tokyo], ['d', utc], ['e', berlin], ['f', tokyo]),
      ['b', 'e', 'CRON_TZ=UTC', 'a', 'd', 'CRON_TZ=Asia/Tokyo', 'c', 'f'],
    );
    assert.deepEqual(zoned(['a', tokyo], ['b', utc], ['c', tokyo]), [
      ...['CRON_TZ=Asia/Tokyo', 'a', 'c', 'CRON_TZ=UTC', 'b'],
    ]);
  });

  it('goes on in the zone of the last line where more variables come', () => {
    const more = { A: '1' };
    assert.deepEqual(zoned(['a', utc, more], ['b', berlin], ['c', utc], ['d', berlin, more]), [
      ...['b', 'CRON_TZ=UTC', 'c', 'a', 'CRON_TZ=Europe/Berlin', 'd'],
    ]);
  });

  it('keeps equal lines in their order, whatever their zones', () => {
    const text = 'CRON_TZ=UTC\n@daily x\nCRON_TZ=Europe/Berlin\n@daily x\n@daily y\n';
    const jobs = jobsOf(text, options);
    assert.deepEqual(byName(jobsOf(formatCrontab(jobs, options), options)), byName(jobs));
  });

  it('names the users of a system table', () => {
    const written = formatCrontab(
      [
        job({ name: 'a', command: 'a', schedule: '@daily', user: 'bob' }),
        job({ name: 'b', command: 'b', schedule: '@daily' }),
      ],
      {
        kind: 'system',
        zone: 'Europe/Berlin',
      },
    );
    assert.match(written, /^@daily bob a$/m);
    assert.match(written, /^#: default\/b is not here: it names no user/m);
  });
});
