import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { webhookReceiver } from '#test/receivers.ts';
import { within } from '#test/until.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
const launcher = new URL('../../worker-agent/cli/cronfleet.mjs', import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'cronfleet-cli-'));
const data = join(dir, 'data');
const ours = { ...process.env, CRONFLEET_DATA: data, NO_COLOR: '1' };
let server: ChildProcess;

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Runs the command line as a person's shell would. */
function cli(
  args: string[],
  how: { input?: string; env?: NodeJS.ProcessEnv; program?: string } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [how.program ?? main, ...args], { env: { ...ours, ...how.env } });
  const ended: Ended = { code: null, out: '', err: '' };
  child.stdout.on('data', (piece) => {
    ended.out += piece;
  });
  child.stderr.on('data', (piece) => {
    ended.err += piece;
  });
  child.stdin.end(how.input ?? '');
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...ended, code })));
}

const crontab =
  'MAILTO=ann\n# nightly\n0 2 * * * /usr/bin/backup --all\n0 3 * * * cat%100\\%%\n@reboot a\n99 * * * * b\n';

describe('the command line', { skip: process.platform === 'linux' ? false : 'agents run on Linux' }, () => {
  before(async () => {
    server = spawn(
      process.execPath,
      [main, 'up', '--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const said = new Promise((resolve, reject) => {
      server.stdout?.once('data', resolve);
      server.once('exit', (code) => reject(new Error(`up ended with ${code}`)));
    });
    await within('up to say where it is', said, () => 'nothing');
  });
  after(async () => {
    const gone = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGINT');
    await gone;
    rmSync(dir, { recursive: true });
  });

  it('takes a crontab over, names what it leaves, and changes nothing the second time', async () => {
    const first = await cli(['import', '-'], { input: crontab });
    assert.equal(first.code, 1, first.err);
    for (const line of [5, 6]) assert.match(first.out, new RegExp(`not taken over {2}-:${line}: .{10}`));
    assert.match(first.out, /not quite as cron {2}-:1: output is not mailed/);
    assert.match(first.out, /2 taken over, 0 changed, 0 unchanged, 2 lines not taken over/);
    assert.match(first.err, /2 lines not taken over, hence exit status 1; the others were/);
    const second = await cli(['import', '-', '--json'], { input: crontab });
    assert.deepEqual(
      JSON.parse(second.out).changes.map(({ action }: { action: string }) => action),
      ['unchanged', 'unchanged'],
    );
  });

  it('says of a line in what it differs from cron at a change of clocks', async () => {
    const asked = ['import', '--dry-run', '--timezone', 'Europe/Berlin', '-'];
    const { out } = await cli(asked, { input: '30 2 * * * true a\n0,30 2 * * * true b\n' });
    assert.deepEqual(out.match(/not quite as cron.*?:\d/g), ['not quite as cron  -:2']);
    assert.match(out, /-:2: on 20\d\d-03-\d\d clocks go forward .* cron would run it 2 times/);
  });

  it('says which jobs have no line any more, and deletes those with --prune, and none of another table', async () => {
    const file = join(dir, 'mine');
    const group = ['--group', 'edited'];
    const changes = (out: string): string[] =>
      JSON.parse(out).changes.map(
        (one: { name: string; action: string }) => `${one.name.slice(0, 3)} ${one.action}`,
      );
    writeFileSync(file, 'MAILTO=ann\n1 2 * * * one\n1 2 * * * two\n');
    assert.equal(
      (await cli(['import', ...group, file])).code,
      0,
      'a variable that cron acts upon is no refusal',
    );
    await cli(['import', ...group, '-'], { input: '1 2 * * * own\n' });
    assert.equal(
      (await cli(['apply', '-', ...group], { input: 'jobs: [{name: made, command: x}]' })).code,
      0,
    );

    writeFileSync(file, 'MAILTO=ann\n1 3 * * * one\n1 2 * * * two\n');
    const edited = await cli(['import', ...group, file]);
    assert.equal(edited.code, 0);
    assert.match(edited.out, /no line any more {2}edited\/one-[0-9a-f]{6}: 1 2 \* \* \* one\n/);
    assert.match(edited.out, /1 taken over, 0 changed, 1 unchanged, 1 without a line any more, 0 lines/);
    assert.match(edited.err, /1 job still runs though .*--prune/);

    writeFileSync(file, 'MAILTO=ann\n1 3 * * * one\n1 99 * * * two\n');
    const broken = await cli(['import', ...group, '--prune', file]);
    assert.deepEqual([broken.code, / delete/.test(broken.out)], [1, false]);
    assert.match(broken.err, /no job was deleted: of 2 without a line/);

    writeFileSync(file, 'MAILTO=ann\n1 3 * * * one\n@reboot two\n');
    const [dry, pruned] = [
      await cli(['import', ...group, '--prune', '--dry-run', '--json', file]),
      await cli(['import', ...group, '--prune', '--json', file]),
    ];
    for (const { code, out } of [dry, pruned]) {
      assert.equal(code, 1, 'a line that starts at boot is not taken over');
      assert.deepEqual(changes(out).sort(), ['one delete', 'one unchanged', 'two delete']);
    }
    const left = JSON.parse((await cli(['ls', '--json', ...group])).out).map(
      ({ job }: { job: { name: string } }) => job.name.slice(0, 3),
    );
    assert.deepEqual(left.sort(), ['mad', 'one', 'own']);
  });

  it('deletes nothing by a table that it can not know to be whole', async () => {
    const nothing = await cli(['import', '--prune', '-'], { input: '' });
    assert.deepEqual([nothing.code, nothing.out], [1, '']);
    assert.match(nothing.err, /nothing was read.*would delete every job/);
    const nameless = await cli(['import', '--prune', '--system', '-'], { input: '@daily root x\n' });
    assert.equal(nameless.code, 2);
  });

  it('says of an empty table that it is one', async () => {
    const { code, err } = await cli(['import', '-'], { input: '# nothing\n' });
    assert.equal(code, 0);
    assert.match(err, /no line to read/);
  });

  it('gives back a crontab and a YAML file whose taking over changes nothing', async () => {
    const table = await cli(['export', '--crontab', '--group', 'crontab']);
    const again = await cli(['import', '-', '--json'], { input: table.out });
    const yaml = await cli(['apply', '-', '--json'], {
      input: (await cli(['export', '--group', 'crontab'])).out,
    });
    for (const { out } of [again, yaml])
      assert.deepEqual(
        new Set(JSON.parse(out).changes.map(({ action }: { action: string }) => action)),
        new Set(['unchanged']),
      );
  });

  it('reads users from a system table, and from a folder of them', async () => {
    const folder = join(dir, 'tables');
    mkdirSync(folder);
    writeFileSync(join(folder, 'a'), '@daily nobody true a\n');
    writeFileSync(join(folder, 'b'), '@daily nobody true a\n');
    const { out } = await cli(['import', '--system', '--dry-run', folder]);
    assert.match(out, /true-[0-9a-f]{6} +@daily +nobody +true a\n.*true-[0-9a-f]{6}-2 /);
    assert.match(out, /2 would be taken over.*0 lines not taken over.*nothing was done/);
  });

  it('does not take the users of a system table for commands', async () => {
    const table = '25 6 * * * root test -x /bin/x\n@daily nobody true\n';
    const refused = await cli(['import', '-'], { input: table });
    assert.deepEqual([refused.code, refused.out], [1, '']);
    assert.match(refused.err, /-:1: .*root.*--system.*--user/);
    assert.equal((await cli(['import', '--system', '--dry-run', '-'], { input: table })).code, 0);
    assert.equal((await cli(['import', '--user', 'nobody', '--dry-run', '-'], { input: table })).code, 0);
    const mixed = `${table}@daily true\n`;
    assert.equal((await cli(['import', '--dry-run', '-'], { input: mixed })).code, 0);
  });

  it('ends a followed run with the code of the job, 124 for a timeout', async () => {
    const jobs =
      "jobs: [{name: three, command: 'echo a; printf b; exit 3'}, {name: slow, command: sleep 60, timeout: 1s, killGrace: 0s}]";
    assert.equal((await cli(['apply', '-'], { input: jobs })).code, 0);
    const three = await cli(['run', 'three', '--follow']);
    assert.deepEqual([three.code, three.out], [3, 'a\nb']);
    assert.match(three.err, /: failed \(exit status 3\)/);
    assert.equal((await cli(['run', 'slow', '--follow'])).code, 124);
    assert.equal((await cli(['logs', 'three'])).out, 'a\nb');
    assert.match((await cli(['runs', 'three'])).out, /default~three~\S+ +failed/);
  });

  it('says 125 for a run that was killed', async () => {
    await cli(['apply', '-'], { input: 'jobs: [{name: long, command: "echo up; sleep 60", killGrace: 0s}]' });
    const child = spawn(process.execPath, [main, 'run', 'long', '--follow'], { env: ours });
    // Listened to from the start: the run may be dead, and its follower gone, before the killing command has ended.
    const closed = new Promise((resolve) => child.once('close', resolve));
    const up = new Promise((resolve) => child.stdout.once('data', resolve));
    await within('its first word', up, () => 'nothing');
    const [run] = JSON.parse((await cli(['show', 'long', '--json'])).out).running;
    assert.equal((await cli(['kill', run.id])).code, 0);
    assert.equal(await closed, 125);
    assert.match((await cli(['runs', 'long'])).out, /killed by local$/m);
  });

  it('reads with --json what tables show, in every reading command', async () => {
    for (const args of [
      ['ls'],
      ['show', 'three'],
      ['runs'],
      ['why', 'three', '2026-01-01T00:00:00Z'],
      ['workers'],
      ['token', 'ls'],
      ['alerts', '--all'],
      ['channel', 'ls'],
      ['doctor'],
      ['next', '@daily'],
    ])
      assert.ok(JSON.parse((await cli([...args, '--json'])).out), args.join(' '));
  });

  it('explains the last instant that was due where none is named', async () => {
    await cli(['apply', '-'], { input: 'jobs: [{name: at-four, command: x, schedule: "0 4 * * *"}]' });
    const { code, out } = await cli(['why', 'at-four']);
    assert.match(out, /^\d{4}-\d\d-\d\d 04:00:00Z: The job was made only later, .*\n.*\[job\]/);
    assert.equal(code, 0);
    assert.match(
      (await cli(['why', 'three'])).out,
      /^default~three~\S+: local asked for it by hand; it is failed/,
    );
  });

  it('looks at everything else where settings are wrong, and names each mistake', async () => {
    const env = { CRONFLEET_HISTORY: 'mongodb:/x', CRONFLEET_CAPACITY: '-1' };
    const { code, out } = await cli(['doctor', '--json'], { env });
    const found: { level: string; what: string }[] = JSON.parse(out);
    assert.equal(code, 1);
    assert.deepEqual(
      found.filter(({ level }) => level === 'bad').map(({ what }) => what.split(':')[0]),
      ['CRONFLEET_HISTORY', 'CRONFLEET_CAPACITY'],
    );
    assert.ok(found.some(({ what }) => what === '/bin/sh is there'));
  });

  it('pauses and resumes, and says so', async () => {
    assert.match((await cli(['pause', 'three', '--reason', 'x'])).out, /three is paused/);
    assert.match((await cli(['ls'])).out, /three .*paused by local/);
    assert.match((await cli(['resume', 'three'])).out, /three goes on/);
  });

  it('deletes a job, and says so of one that is not there', async () => {
    assert.equal((await cli(['apply', '-'], { input: 'jobs: [{name: gone, command: x}]' })).code, 0);
    assert.match((await cli(['delete', 'gone'])).err, /default\/gone is deleted/);
    const again = await cli(['delete', 'gone']);
    assert.deepEqual([again.code, again.out], [1, '']);
    assert.match(again.err, /default\/gone/);
  });

  it('says in one line of a data folder why it can not be used', async () => {
    const [file, link] = [join(dir, 'a-file'), join(dir, 'a-link')];
    writeFileSync(file, '');
    symlinkSync(join(dir, 'nowhere'), link);
    // A folder that takes no new ones and says so with the wrong error.
    for (const folder of [file, link, join(file, 'below'), join(link, 'below'), '/proc/none'])
      for (const daemon of [
        ['up'],
        ['agent', '--kv', 'etcd://127.0.0.1:1', '--history', 'mongodb://127.0.0.1:1/x'],
      ]) {
        const { code, err } = await cli([...daemon, '--data', folder]);
        assert.equal(code, 1, folder);
        assert.ok(err.includes(`--data ${folder}: can't be used (`), err);
        assert.equal(err.trim().split('\n').length, 1, err);
      }
  });

  it('says of a second start in its folder that it is up, under which link', async () => {
    const { url, token } = JSON.parse(readFileSync(join(data, 'client.json'), 'utf8'));
    const { code, out, err } = await cli(['up', '--listen', '127.0.0.1:0']);
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /^cronfleet: cronfleet is up already \(pid \d+\): .*\n$/);
    assert.ok(err.includes(`${url}/#token=${token}\n`), err);
  });

  it('says where another server answers than the one that left its token, and how to name it', async () => {
    const { url, token } = JSON.parse(readFileSync(join(data, 'client.json'), 'utf8'));
    const before = join(dir, 'before');
    mkdirSync(join(before, 'fleet'), { recursive: true });
    writeFileSync(join(before, 'client.json'), JSON.stringify({ url, token: 'cf_old_x', pid: 1 }));
    const env = { CRONFLEET_DATA: before };
    const other = await cli(['ls'], { env });
    assert.equal(other.code, 1);
    assert.match(other.err, /another cronfleet answers there \(CRONFLEET_DATA names/);
    writeFileSync(join(before, 'fleet', 'fleet.json'), JSON.stringify({ url, token }));
    const fleet = await cli(['ls'], { env });
    assert.ok(fleet.err.includes(`CRONFLEET_DATA=${join(before, 'fleet')}`), fleet.err);
    assert.equal((await cli(['ls'], { env: { CRONFLEET_DATA: join(before, 'fleet') } })).code, 0);
    const named = await cli(['ls'], { env: { ...env, CRONFLEET_TOKEN: 'cf_a_b' } });
    assert.match(named.err, /is the token right\?/);
  });

  it('tries a channel out, and says what is wrong and who has heard of it', async () => {
    const hook = await webhookReceiver();
    const { url, token } = JSON.parse(readFileSync(join(data, 'client.json'), 'utf8'));
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ type: 'webhook', url: hook.url });
    await fetch(`${url}/api/v1/channels/ops`, { method: 'PUT', headers, body });
    assert.match((await cli(['channel', 'ls'])).out, /ops +webhook +http/);
    assert.deepEqual(
      [await cli(['channel', 'test', 'ops'])].map(({ code, out }) => [code, out]),
      [[0, 'ops: delivered: answered with HTTP 204\n']],
    );
    assert.match((await cli(['alerts'])).err, /nothing is wrong/);
    const jobs = 'jobs: [{name: bad, command: exit 4, notify: [{on: [failed], to: [ops]}]}]';
    assert.equal((await cli(['apply', '-'], { input: jobs })).code, 0);
    assert.equal((await cli(['run', 'bad', '--follow'])).code, 4);
    await hook.inbox.first(({ body: told }) => told.includes('default/bad failed'));
    assert.match((await cli(['alerts'])).out, /default\/bad failed: exit status 4/);
    await hook.close();
    const deaf = await cli(['channel', 'test', 'ops']);
    assert.equal(deaf.code, 1);
    assert.match(deaf.out, /ops: not delivered: .*ECONNREFUSED/);
    assert.equal((await cli(['channel', 'test'])).code, 2);
    assert.equal((await cli(['channel', 'test', 'nope'])).code, 1);
  });

  it('finds lines in the logs of a job, and says of a job that is not there that it is not', async () => {
    const jobs = 'jobs: [{name: says, command: "echo hay; echo a needle here"}]';
    await cli(['apply', '-'], { input: jobs });
    assert.equal((await cli(['run', 'says', '--follow'])).code, 0);
    assert.match((await cli(['search', 'says', 'needle'])).out, /^default~says~\S+ +a needle here$/m);
    const none = await cli(['search', 'says', 'nothing of that kind']);
    assert.deepEqual([none.code, none.out], [0, '']);
    assert.equal((await cli(['search', 'nope', 'x'])).code, 1);
  });

  it('searches on where an answer of the server ends, to the end or to --limit, and says where it stopped', async () => {
    await cli(['apply', '-'], { input: `jobs: [{name: counts, command: "seq -f 'needle no. %g' 1200"}]` });
    assert.equal((await cli(['run', 'counts', '--follow'])).code, 0);
    const linesOf = ({ out }: Ended) => out.trim().split('\n');
    const all = await cli(['search', 'counts', 'needle']);
    const [head, ...lines] = linesOf(all);
    assert.match(head ?? '', /^RUN +LINE$/);
    assert.deepEqual(
      lines.map((line) => line.replace(/^default~counts~\S+ +/, '')),
      Array.from({ length: 1_200 }, (_, at) => `needle no. ${at + 1}`),
    );
    assert.equal(all.err, '');
    const some = await cli(['search', 'counts', 'needle', '--limit', '600']);
    assert.equal(linesOf(some).length, 1 + 600);
    assert.match(linesOf(some).at(-1) ?? '', / needle no\. 600$/);
    assert.match(some.err, /^--limit 600 is reached, in default~counts~\S+: there may be more\n$/);
    const json = await cli(['search', 'counts', 'needle', '--limit', '1199', '--json']);
    const found = JSON.parse(json.out);
    assert.deepEqual([found.lines.length, found.complete], [1_199, false]);
    assert.match(json.err, /^--limit 1199 is reached/);
    const exact = await cli(['search', 'counts', 'needle', '--limit', '1200', '--json']);
    assert.deepEqual([JSON.parse(exact.out).complete, exact.err], [true, '']);
    assert.equal((await cli(['search', 'counts', 'needle', '--limit', '0'])).code, 2);
  });

  it('makes a token and prints it alone; its role binds', async () => {
    const { out } = await cli(['token', 'create', 'eyes', '--role', 'viewer']);
    assert.match(out, /^cf_\w+_\S{43}\n$/);
    const env = { CRONFLEET_TOKEN: out.trim() };
    assert.equal((await cli(['ls'], { env })).code, 0);
    const refused = await cli(['run', 'three'], { env });
    assert.deepEqual([refused.code, refused.out], [1, '']);
    assert.match(refused.err, /needs the role operator/);
  });

  it('refuses with 1 and names what and where to look', async () => {
    const unknown = await cli(['show', 'nope']);
    assert.deepEqual([unknown.code, unknown.out], [1, '']);
    assert.match(unknown.err, /default\/nope"\n {2}cronfleet ls/);
    const bad = await cli(['apply', '-'], { input: 'jobs: [{name: a b, command: x}, {name: c}]' });
    assert.equal(bad.code, 1);
    assert.match(bad.err, /jobs\.0\.name: "a b"[\s\S]*jobs\.1\.command/);
    for (const command of ['apply', 'import'])
      assert.equal((await cli([command, '/nowhere'])).err, 'cronfleet: /nowhere is not there\n');
    const state = await cli(['runs', '--state', 'bad']);
    assert.match(
      state.err,
      /state: "bad" is not valid; expected waiting, claimed, .*, missed or cancelled\n/,
    );
    const nobody = await cli(['runs', 'nope']);
    assert.deepEqual([nobody.code, nobody.out], [1, '']);
    assert.match(nobody.err, /default\/nope"\n {2}cronfleet ls/);
    await cli(['apply', '-'], { input: 'jobs: [{name: idle, command: x}]' });
    assert.equal((await cli(['runs', 'idle'])).code, 0);
  });

  it('does not send the local token to another server', async () => {
    const seen: (string | undefined)[] = [];
    const other = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.end('{}');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    const asked = await cli(['ls', '--url', url]).finally(() => other.close());
    assert.deepEqual([asked.code, seen], [3, []]);
    assert.match(asked.err, /no token is known/);
  });
});

describe('a wrong call of the command line', () => {
  it('ends with 2 and says what was meant', async () => {
    for (const [args, said] of [
      [[], /Exit codes/],
      [['runss'], /did you mean runs\?/],
      [['runs', '--stat', 'x'], /did you mean --state\?/],
      [['show'], /expected JOB/],
      [['show', 'a', 'b'], /"b" is one word too many/],
      [['import'], /which crontab\?/],
      [['next', '* * * * *', '--count', '0'], /--count 0/],
      [['token', 'create', 'x'], /which role/],
      [['help', 'shw'], /did you mean show\?/],
      [['up', '--capacity', '-1'], /--capacity=-1/],
      [['runs', '--limit'], /--limit: expected N/],
      [['ls', '--json=yes'], /--json takes nothing/],
      [['ls', '--url', 'foo'], /foo is no URL/],
    ] as const) {
      const { code, err, out } = await cli([...args]);
      assert.deepEqual([code, out], [2, ''], args.join(' '));
      assert.match(err, said);
    }
  });

  it('refuses daemons of a fleet without the stores that all share, naming each', async () => {
    const { code, err } = await cli(['agent']);
    assert.equal(code, 1);
    assert.match(err, /--kv: is needed[\s\S]*--history: is needed/);
    const own = await cli(['server', '--kv', `sqlite:${join(dir, 'kv.sqlite')}`]);
    assert.equal(own.code, 1);
    assert.match(own.err, /--kv: serves one process only[\s\S]*--history: is needed/);
  });

  it('ends with 3 where no server is known or none answers', async () => {
    assert.equal((await cli(['ls'], { env: { CRONFLEET_DATA: join(dir, 'none') } })).code, 3);
    // Port 9 (discard): nobody is there.
    const env = { CRONFLEET_URL: 'http://127.0.0.1:9', CRONFLEET_TOKEN: 'x' };
    assert.deepEqual((await cli(['ls'], { env })).code, 3);
  });

  it('is not needed for help, which every command has with an example', async () => {
    const overview = await cli(['--help']);
    assert.equal(overview.code, 0);
    const names = [...overview.out.matchAll(/^ {2}([\w-]+) {2,}/gm)].map(([, name = '']) => name);
    assert.ok(names.length >= 20 && names.includes('after-restore'));
    for (const name of names)
      assert.match((await cli([name, '--help'])).out, /^usage: cronfleet [\s\S]*Example:\n {2}\S/);
    assert.match((await cli(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
    assert.equal((await cli(['--version'], { program: launcher })).out, (await cli(['--version'])).out);
  });
});
