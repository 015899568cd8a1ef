import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { type CrontabOptions, parseCrontab } from '#core/crontab/parse.ts';
import { Job } from '#core/model/job.ts';

const ann: CrontabOptions = {
  kind: 'user',
  zone: 'Europe/Berlin',
  owner: 'ann',
  homeOf: (user) => `/home/${user}`,
};
const system: CrontabOptions = { ...ann, kind: 'system' };

/** The only job of a table. */
function one(text: string, options = ann): Job {
  const { jobs, refused } = parseCrontab(text, options);
  assert.deepEqual(refused, []);
  assert.equal(jobs.length, 1);
  return v.parse(Job, jobs[0]?.job);
}
/** What a table's last line says when it is read. */
function refusal(text: string, options = ann): string {
  const { jobs, refused } = parseCrontab(text, options);
  assert.deepEqual(jobs, []);
  const last = refused.at(-1);
  assert.equal(last?.line, text.split('\n').length);
  return last?.reason ?? '';
}

describe('a line of a crontab', () => {
  it('becomes a job that means what the line meant to cron', () => {
    const { name, ...job } = one('*/5 * * * 1-5\t/usr/local/bin/backup --all >/dev/null 2>&1 # no comment');
    assert.match(name, /^backup-[0-9a-f]{6}$/);
    const { name: _, ...expected } = v.parse(Job, {
      group: 'crontab',
      name: 'x',
      command: '/usr/local/bin/backup --all >/dev/null 2>&1 # no comment',
      schedule: '*/5 * * * 1-5',
      timezone: 'Europe/Berlin',
      dst: 'vixie',
      overlap: 'allow',
      catchUp: 'none',
      shell: '/bin/sh',
      user: 'ann',
      env: { SHELL: '/bin/sh', PATH: '/usr/bin:/bin', HOME: '/home/ann', LOGNAME: 'ann' },
    });
    assert.deepEqual(job, expected);
  });

  it('takes every form of time that cron knows', () => {
    const times = [
      '0 0 1 1 *',
      '1,2,5-9/2 */2 1-31 jan,MAR-dec mon-fri',
      '0 4 * * 0',
      '0 4 * * 7',
      '0 4 * * 5-7',
      '~ 0~3 * * *',
    ];
    for (const time of [
      ...times,
      '@daily',
      '@midnight',
      '@hourly',
      '@weekly',
      '@monthly',
      '@yearly',
      '@annually',
    ])
      assert.equal(one(`${time} a`).schedule, time);
    assert.equal(one('  0\t \t0  1 1 *   a').schedule, '0 0 1 1 *');
    assert.equal(one('-0 0 1 1 * a').schedule, '0 0 1 1 *', "cronie's sign for `don't log`");
  });

  it('refuses a time that cron would refuse, even one that our own dialect knows', () => {
    for (const [text, reason] of [
      ['60 * * * * a', /minute "60": "60" is out of range; expected 0 to 59/],
      ['* 24 * * * a', /hour "24"/],
      ['* * 0 * * a', /day of month "0"/],
      ['* * * 13 * a', /month "13"/],
      ['* * * * 8 a', /weekday "8"/],
      ['*/0 * * * * a', /step of 0/],
      ['5/15 * * * * a', /only behind \* or a range: 5-59\/15/],
      ['* 22-2 * * * a', /ends before it begins/],
      ['* * * * fri-sun a', /a Sunday at its end is 7/],
      ['0 0 L * * a', /day of month "L"/],
      ['0 0 15W * * a', /"15W"/],
      ['0 0 * * 5#2 a', /"5#2" is not cron's/],
      ['H * * * * a', /"H"/],
      ['0 0 ? * * a', /"\?"/],
      ['0 0 * * sunday a', /"sunday"/],
      ['1,,2 * * * * a', /minute "1,,2"/],
      ['0 0 30 2 * a', /never comes/],
      ['@every 5m a', /@every is no time that cron knows/],
      ['@Daily a', /@Daily is no time/],
      ['@reboot a', /systemd unit/],
      ['just words', /neither NAME=VALUE nor five fields/],
      ['* * * * *', /no command/],
      ['* * * * * * a', /sixth field/],
      [`* * * * * ${'x'.repeat(131_072)}`, /longer than/],
      ['* * * * * a\0b', /NUL/],
    ] as const)
      assert.match(refusal(text), reason, text.slice(0, 40));
  });

  it('ends its command at the first bare %, and gives the rest as its input', () => {
    const cases: [string, string, string | null][] = [
      ['a', 'a', null],
      ['echo 50\\% of', 'echo 50% of', null],
      ['mail joe%Joe,%%Where?%', 'mail joe', 'Joe,\n\nWhere?\n'],
      ['cat%one', 'cat', 'one\n'],
      ['cat%100\\% of%it', 'cat', '100% of\nit\n'],
      ['cat%', 'cat', null],
      ['cat%%', 'cat', '\n'],
      ['cat%a\\n\\\\b', 'cat', 'a\\n\\\\b\n'],
      ['date +\\%F\\ %in', 'date +%F\\ ', 'in\n'],
    ];
    for (const [text, command, stdin] of cases) {
      const job = one(`* * * * * ${text}`);
      assert.deepEqual([job.command, job.stdin], [command, stdin], text);
    }
  });

  it('reads two backslashes as its own cron does: one in Debian, two in cronie', () => {
    const line = "* * * * * grep '\\\\.' \\n";
    assert.equal(one(line).command, "grep '\\.' \\n");
    assert.equal(one(line, { ...ann, flavour: 'cronie' }).command, "grep '\\\\.' \\n");
    assert.deepEqual([one('* * * * * a\\\\%b').stdin, one('* * * * * a\\\\%b').command], ['b\n', 'a\\']);
    assert.equal(one('* * * * * a\\\\%b', { ...ann, flavour: 'cronie' }).command, 'a\\%b');
  });

  it('has the same name at every import, whatever stands around it; twins are numbered', () => {
    const { jobs } = parseCrontab('0 3 * * * date\n0 3  * * * date\n0 4 * * * date\n0 3 * * * date\n', ann);
    const names = jobs.map(({ job: { name } }) => name);
    assert.equal(names[0], one('A=1\n0 3 * * * date').name);
    assert.deepEqual(names, [names[0], `${names[0]}-2`, names[2], `${names[0]}-3`]);
    assert.notEqual(names[2], names[0]);
    // Written down once: a change would make every second import import everything anew.
    assert.equal(one('0 3 * * * date').name, 'date-f2a962');
  });

  it('numbers twins across tables that are read together', () => {
    const names = new Map<string, number>();
    const read = () => parseCrontab('0 3 * * * date', { ...ann, names }).jobs[0]?.job.name;
    const first = read();
    assert.equal(read(), `${first}-2`);
  });

  it('is named by its first word, whatever that is', () => {
    for (const [command, base] of [
      ['/opt/a/run.sh --x', 'run.sh'],
      ['[ -x /a ] && /a', 'job'],
      ['"quoted word" x', 'quoted'],
      ['.hidden', 'hidden'],
      ['$HOME/bin/é', 'job'],
      [`/x/${'long'.repeat(40)}`, 'long'.repeat(10)],
    ] as const)
      assert.equal(one(`@daily ${command}`).name.slice(0, -7), base);
  });
});

describe('the variables of a crontab', () => {
  it('hold for the lines below them, quoted or not, spaces around = or none, never expanded', () => {
    const job = one(
      [
        'A=1',
        'B = two words  ',
        'C=" kept "',
        "'D'='it is \"so\"'",
        'E=$A/x',
        'F=x # y',
        'G=',
        'A=2',
        'SHELL=/bin/bash',
        'PATH=/opt:/bin',
        'HOME=/srv/ann',
        '@daily a',
      ].join('\n'),
    );
    assert.equal(job.shell, '/bin/bash');
    assert.deepEqual(job.env, {
      SHELL: '/bin/bash',
      PATH: '/opt:/bin',
      HOME: '/srv/ann',
      LOGNAME: 'ann',
      A: '2',
      B: 'two words',
      C: ' kept ',
      D: 'it is "so"',
      E: '$A/x',
      F: 'x # y',
      G: '',
    });
    assert.deepEqual(Object.keys(one('@daily a\nA=1').env), ['SHELL', 'PATH', 'HOME', 'LOGNAME']);
  });

  it('are listed where cron did something upon them that we do not, and stay in the environment', () => {
    const { jobs, refused } = parseCrontab(
      'MAILTO=ann@example.org\nRANDOM_DELAY=5\nLOGNAME=bob\n@daily a',
      ann,
    );
    assert.deepEqual(
      refused.map(({ line }) => line),
      [1, 2, 3],
    );
    const env = jobs[0]?.job.env ?? {};
    assert.deepEqual([env.MAILTO, env.LOGNAME], ['ann@example.org', 'ann']);
    assert.deepEqual(
      parseCrontab('MAILTO=""\n@daily a', ann).refused,
      [],
      'no mail was asked for, none is sent',
    );
  });

  it('are refused where cron could not have read them, or no environment could hold them', () => {
    assert.match(refusal('A="x" y'), /neither NAME=VALUE/);
    assert.match(refusal('A="x'), /neither NAME=VALUE/);
    assert.match(refusal('A-B=1'), /"A-B" is not the name of a variable/);
    assert.match(refusal('=1'), /neither NAME=VALUE/);
  });

  it('CRON_TZ gives the zone of the lines below it', () => {
    const { jobs } = parseCrontab('@daily a\nCRON_TZ=Asia/Tokyo\n@daily b\nCRON_TZ="UTC"\n@daily c', ann);
    assert.deepEqual(
      jobs.map(({ job }) => job.timezone),
      ['Europe/Berlin', 'Asia/Tokyo', 'UTC'],
    );
    assert.deepEqual(Object.keys(jobs[1]?.job.env ?? {}).includes('CRON_TZ'), false);
  });

  it('an unknown CRON_TZ takes the lines below with it, since nobody knows what time they mean', () => {
    const { jobs, refused } = parseCrontab('CRON_TZ=Mars/Olympus\n@daily a\nCRON_TZ=UTC\n@daily b', ann);
    assert.deepEqual([jobs.map(({ line }) => line), refused.map(({ line }) => line)], [[4], [1, 2]]);
  });
});

describe('a crontab', () => {
  it('takes Windows line ends, a byte order mark, tabs, and a last line that does not end', () => {
    const { jobs, refused } = parseCrontab('\uFEFFA=1\r\n\r\n\t* * * * *\techo $A\r\n0 0 * * * b', ann);
    assert.deepEqual(
      jobs.map(({ line, job: { command, env } }) => [line, command, env?.A]),
      [
        [3, 'echo $A', '1'],
        [4, 'b', '1'],
      ],
    );
    assert.deepEqual(refused, []);
    for (const nothing of ['', '\n', '# only\n  # comments\n\t\n'])
      assert.deepEqual(parseCrontab(nothing, ann), { jobs: [], refused: [] });
  });

  it('gives a job the short comment right above its line as description, and nothing longer or further away', () => {
    assert.equal(one('# rotate\n#  the logs\n@daily a').description, 'rotate\n the logs');
    assert.equal(one('# far away\n\n@daily a').description, '');
    assert.equal(one('# one\n# two\n# three\n# four\n@daily a').description, '');
    assert.equal(one('# m h  dom mon dow   command\n@daily a').description, '');
    assert.equal(one('# out\n#0 5 * * * b\n# in\n@daily a').description, 'in');
    assert.equal(one('# says the variable\nA=1\n@daily a').description, '');
  });

  it('of the system names its users', () => {
    const { jobs } = parseCrontab(
      '17 * * * *\troot\tcd / && run-parts /etc/cron.hourly\n@daily www-data x\n',
      system,
    );
    assert.deepEqual(
      jobs.map(({ job: { user, command, env } }) => [user, command, env?.HOME, env?.LOGNAME]),
      [
        ['root', 'cd / && run-parts /etc/cron.hourly', '/home/root', 'root'],
        ['www-data', 'x', '/home/www-data', 'www-data'],
      ],
    );
    assert.match(refusal('@daily root', system), /names no user and command/);
    assert.match(
      refusal('@daily root:wheel a', system),
      /names "root:wheel" where a system table names the user/,
    );
    assert.match(refusal('@daily * a', system), /names "\*"/);
  });

  it('of nobody in particular runs as whoever the agent is', () => {
    const { user, env } = one('@daily a', { kind: 'user', zone: 'UTC' });
    assert.deepEqual([user, env], [null, { SHELL: '/bin/sh', PATH: '/usr/bin:/bin' }]);
  });
});
