import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { formatCrontab } from '#core/crontab/format.ts';
import { parseCrontab } from '#core/crontab/parse.ts';
import { Job } from '#core/model/job.ts';

const options = {
  kind: 'user' as const,
  zone: 'Europe/Berlin',
  self: 'ann',
  homeOf: (user: string) => `/home/${user}`,
};
const text = `# a comment
SHELL=/bin/bash
PATH="/opt/bin:/usr/bin"
MAILTO=ann@example.org
 */5 * * * 1-5\t/usr/local/bin/backup --all
@daily echo "50\\% of %first%second"
CRON_TZ=UTC
0 3 * * sun date
0 3 * * sun date
@reboot start-me
61 * * * * nope
just words
`;

describe('a crontab read', () => {
  const { jobs, refused } = parseCrontab(text, options);
  const job = (at: number) => v.parse(Job, jobs[at]?.job);

  it('makes jobs that mean what the lines meant to cron', () => {
    assert.equal(jobs.length, 4);
    const { command, schedule, timezone, overlap, shell, cwd, env } = job(0);
    assert.deepEqual(
      { command, schedule, timezone, overlap, shell, cwd },
      {
        command: '/usr/local/bin/backup --all',
        schedule: '*/5 * * * 1-5',
        timezone: 'Europe/Berlin',
        overlap: 'allow',
        shell: '/bin/bash',
        cwd: '/home/ann',
      },
    );
    assert.deepEqual(env, {
      PATH: '/opt/bin:/usr/bin',
      HOME: '/home/ann',
      LOGNAME: 'ann',
      SHELL: '/bin/bash',
    });
  });
  it('ends the command at %, and gives the rest as its input', () => {
    assert.deepEqual([job(1).command, job(1).stdin], ['echo "50% of ', 'first\nsecond"\n']);
  });
  it('reads the zone of CRON_TZ for the lines below it', () => {
    assert.equal(job(2).timezone, 'UTC');
  });
  it('names a line always the same, and numbers its twins', () => {
    assert.match(job(0).name, /^backup-[0-9a-f]{6}$/);
    assert.equal(job(3).name, `${job(2).name}-2`);
    assert.deepEqual(parseCrontab(text, options).jobs, jobs);
  });
  it('loses no line: what is not taken over is listed with its number and reason', () => {
    assert.deepEqual(
      refused.map(({ line }) => line),
      [4, 10, 11, 12],
    );
    for (const { reason } of refused) assert.ok(reason.length > 10);
  });
  it('takes Windows line ends and a missing last one', () => {
    const windows = parseCrontab('A=1\r\n* * * * * echo $A\r\n0 0 * * * b', options);
    assert.deepEqual(
      windows.jobs.map(({ job: { command } }) => command),
      ['echo $A', 'b'],
    );
    assert.equal(windows.refused.length, 0);
  });
  it('reads the user column of a system table', () => {
    const { jobs: system } = parseCrontab(
      '17 * * * * root run-parts /etc/cron.hourly\n5 5 * * * www-data x\n',
      { ...options, kind: 'system', self: 'root' },
    );
    assert.deepEqual(
      system.map(({ job: { user, command } }) => [user, command]),
      [
        [undefined, 'run-parts /etc/cron.hourly'],
        ['www-data', 'x'],
      ],
    );
  });
});

describe('a crontab written', () => {
  it('means the same when it is read again', () => {
    const jobs = parseCrontab(text, options).jobs.map(({ job }) => v.parse(Job, job));
    const again = parseCrontab(formatCrontab(jobs, { system: false }), options);
    assert.deepEqual(again.refused, []);
    const bare = (job: Job) => ({ ...job, name: '', description: '' });
    assert.deepEqual(
      again.jobs.map(({ job }) => bare(v.parse(Job, job))),
      jobs.map(bare),
    );
  });
  it('says in a comment what it can not say', () => {
    const written = formatCrontab(
      [
        v.parse(Job, { name: 'x', argv: ['a', 'b'], schedule: '* * * * *' }),
        v.parse(Job, { name: 'y', command: 'y', schedule: '* * * * * *' }),
      ],
      { system: false },
    );
    assert.match(written, /^# default\/x: not here: runs a list/m);
    assert.match(written, /^# default\/y: not here: its schedule/m);
  });
});
