import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunId } from '#core/model/ids.ts';
import { isCode, isShort } from './faults.ts';

/** A cgroup v2 for each run, from which nothing can slip away, where this host lets us have them. */
export interface Cgroups {
  /** Makes the run's group; gives the file through which the wrapper enters it, '' where none can be had. */
  create(run: RunId): string;
  members(run: RunId): number[];
  /** Kills all of it at once; false: this kernel can't, or there is none. */
  killAll(run: RunId): boolean;
  /** Whether the run's group stands. */
  has(run: RunId): boolean;
  remove(run: RunId): void;
  /** Removes what is empty: groups that daemons of ended runs had kept, and at last the place of them all. */
  tidy(): void;
}

const none: Cgroups = {
  create: () => '',
  members: () => [],
  killAll: () => false,
  has: () => false,
  remove() {},
  tidy() {},
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

/** Looks what can be had; `dir` keeps the groups of two data folders apart, null asks for none. */
export function findCgroups(dir: string | null): Cgroups {
  if (dir === null) return none;
  let base: string;
  try {
    const place = ownPlace();
    if (place === null) return none;
    base = join(place, `cronfleet-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`);
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
  const removeIfEmpty = (group: string) => {
    try {
      rmdirSync(group);
    } catch (error) {
      // Still in use by a daemon that the job left behind, as cron would: the group stays until that ends.
      if (!isCode(error, 'ENOENT', 'EBUSY', 'ENOTEMPTY')) throw error;
    }
  };
  return {
    create(run) {
      try {
        // With its parents: `tidy` may have taken the place itself away.
        mkdirSync(path(run), { recursive: true });
        return join(path(run), 'cgroup.procs');
      } catch (error) {
        // The limit of groups, say: this one run goes without.
        if (isShort(error) || isCode(error, 'ENOSPC', 'EACCES', 'EPERM', 'EROFS')) return '';
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
    has: (run) => existsSync(path(run)),
    remove: (run) => removeIfEmpty(path(run)),
    tidy() {
      if (!existsSync(base)) return;
      for (const one of readdirSync(base, { withFileTypes: true }))
        if (one.isDirectory()) removeIfEmpty(join(base, one.name));
      removeIfEmpty(base);
    },
  };
}
