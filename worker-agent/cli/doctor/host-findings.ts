import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { machineZone, whoAmI } from '../host.ts';
import { bad, type Finding, note, ok } from './finding.ts';

const scarceBytes = 1_000_000_000;
const setprivPlaces = ['/usr/bin/setpriv', '/bin/setpriv', '/usr/local/bin/setpriv'];

/** What this host gives to a worker, and what the folder of `up` looks like; null: it has none. */
export function hostFindings(data: string | null): Finding[] {
  return [
    ...(data === null ? [] : folderFindings(data)),
    ...platformFindings(),
    cgroupFinding(),
    ...userFindings(),
    ...zoneFindings(),
  ];
}

function folderFindings(data: string): Finding[] {
  if (!existsSync(data))
    return [note(`${data} is not there: cronfleet up was never started with it from here`)];
  const { bavail, bsize } = statfsSync(data);
  const free = bavail * bsize;
  const gigabytes = `${(free / 1e9).toFixed(1)} GB`;
  const open = readdirSync(data).filter((name) => {
    const file = statSync(join(data, name), { throwIfNoEntry: false });
    return (
      (/\.sqlite(-wal|-shm)?$/.test(name) || name === 'client.json') &&
      file !== undefined &&
      (file.mode & 0o077) !== 0
    );
  });
  return [
    free > scarceBytes
      ? ok(`${data} has ${gigabytes} free`)
      : bad(
          `${data} has only ${gigabytes} free`,
          'make room: on a full disk no run can start, and each says so',
        ),
    open.length === 0
      ? ok(`what is kept in ${data} can be read by its owner alone`)
      : bad(
          `others may read ${open.join(', ')} in ${data}: tokens and outputs are in there`,
          `chmod 600 ${open.map((name) => join(data, name)).join(' ')}`,
        ),
  ];
}

function platformFindings(): Finding[] {
  return [
    process.platform === 'linux'
      ? ok('this is Linux')
      : bad(
          `this is ${process.platform}: agents run on Linux only`,
          'API, site and command line run here; let the jobs run on a Linux machine',
        ),
    executable('/bin/sh')
      ? ok('/bin/sh is there')
      : bad('/bin/sh is not there: no run can start', 'install a POSIX shell'),
  ];
}

function cgroupFinding(): Finding {
  const without =
    'a process that leaves both its session and its environment can outlive a kill; the kill says that it is not certain';
  try {
    const mount = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, , kind]) => kind === 'cgroup2');
    if (mount === undefined) return note('there is no cgroup v2 here', without);
    accessSync(mount[1] ?? '', constants.W_OK);
    return ok('cgroup v2 can be had: a kill reaches every process of a run');
  } catch {
    // No /proc, or a tree that belongs to somebody else: both mean that there is none for us.
    return note(
      'cgroup v2 is there, and not ours to write',
      `${without}. Run as root, or by a systemd unit with Delegate=yes`,
    );
  }
}

function userFindings(): Finding[] {
  const self = whoAmI();
  if (self?.uid !== 0)
    return [
      note(
        `this is ${self?.name ?? 'a user without a name'}: an agent of this user runs jobs as itself only`,
        'jobs of other users need an agent that runs as root',
      ),
    ];
  return [
    setprivPlaces.some(executable)
      ? ok('an agent of root may run jobs as any user')
      : bad("setpriv is not there: jobs of other users can't run", 'install util-linux'),
  ];
}

function zoneFindings(): Finding[] {
  const zone = machineZone();
  return [
    zone === null
      ? bad(
          "this machine's time zone has no name that can be found",
          'timedatectl set-timezone ZONE; or import with --timezone',
        )
      : ok(`this machine is in ${zone}; zone data ${process.versions.tz ?? 'unknown'}`),
  ];
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there or not for us: no use either way.
    return false;
  }
}
