import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashOf } from '#core/decide/placement.ts';
import type { RunId } from '#core/model/ids.ts';
import { isCode } from './run-dir.ts';

/** A cgroup v2 for each run, from which nothing can slip away, where this host lets us have them. */
export interface Cgroups {
  /** Makes the run's group; gives the file through which the wrapper enters it, '' where none can be had. */
  create(run: RunId): string;
  members(run: RunId): number[];
  /** Kills all of it at once; false: this kernel can't, or there is none. */
  killAll(run: RunId): boolean;
  remove(run: RunId): void;
  readonly available: boolean;
}

const none: Cgroups = {
  create: () => '',
  members: () => [],
  killAll: () => false,
  remove() {},
  available: false,
};

/** Our own place below the cgroup2 mount, which may be elsewhere than at the usual one (/sys/fs/cgroup/unified). */
function ownPlace(): string | null {
  const mount = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, , type]) => type === 'cgroup2')?.[1];
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  return mount === undefined || own === undefined ? null : join(mount, own);
}

/** Looks what can be had; `dir` keeps the groups of two data folders apart. */
export function findCgroups(dir: string): Cgroups {
  let base: string;
  try {
    const place = ownPlace();
    if (place === null) return none;
    base = join(place, `cronfleet-${hashOf(dir).toString(16)}`);
    mkdirSync(base, { recursive: true });
    const probe = join(base, 'probe');
    mkdirSync(probe, { recursive: true });
    rmdirSync(probe);
  } catch (error) {
    // Not root, a read-only mount, no cgroup v2: runs go without, and a kill says that it can't be certain.
    if (isCode(error, 'EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'EBUSY')) return none;
    throw error;
  }
  // A group's name may have at most 255 bytes and a run's id nearly fills that.
  const path = (run: RunId) => join(base, run);
  return {
    available: true,
    create(run) {
      try {
        mkdirSync(path(run), { recursive: true });
        return join(path(run), 'cgroup.procs');
      } catch (error) {
        // The limit of groups, say: this one run goes without.
        if (isCode(error, 'EAGAIN', 'ENOSPC', 'ENOMEM', 'EACCES', 'EPERM')) return '';
        throw error;
      }
    },
    members(run) {
      try {
        return readFileSync(join(path(run), 'cgroup.procs'), 'latin1')
          .split('\n')
          .filter(Boolean)
          .map(Number);
      } catch (error) {
        if (isCode(error, 'ENOENT', 'ENODEV')) return [];
        throw error;
      }
    },
    killAll(run) {
      try {
        writeFileSync(join(path(run), 'cgroup.kill'), '1', { flag: 'r+' });
        return true;
      } catch (error) {
        if (isCode(error, 'ENOENT', 'ENODEV', 'EACCES', 'EPERM')) return false;
        throw error;
      }
    },
    remove(run) {
      try {
        rmdirSync(path(run));
      } catch (error) {
        // Still in use by a daemon that the job left behind, as cron would: the group stays until that ends.
        if (!isCode(error, 'ENOENT', 'EBUSY', 'ENOTEMPTY')) throw error;
      }
    },
  };
}
