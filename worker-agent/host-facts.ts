import { readFileSync } from 'node:fs';
import { availableParallelism, hostname, loadavg, networkInterfaces } from 'node:os';

/** What a worker tells of the host it is on. */
export function hostFacts() {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
  return {
    host: hostname(),
    addresses: addresses.length > 0 ? addresses : ['127.0.0.1'],
    tzdata: process.versions.tz ?? '',
    switchesUser: process.getuid?.() === 0,
  };
}

/** Another one after each start of the host. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

/** Load of the last minute over the number of cores, and the bytes of memory that this process holds. */
export function hostLoad(): { cpu: number; memory: number } {
  const [minute = 0] = loadavg();
  return { cpu: minute / availableParallelism(), memory: process.memoryUsage.rss() };
}

/** The id that this agent had before, or a new one from the host's name: fit for keys and run ids. */
export function agentId(read: () => string | null, host: string): string {
  return (
    read() ??
    (host
      .replace(/[^A-Za-z0-9._-]/g, '-')
      .replace(/^[.-]+/, '')
      .slice(0, 64) ||
      'worker')
  );
}

/** The first line of a file, or null where there is none. */
export function firstLine(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').split('\n')[0]?.trim() || null;
  } catch {
    // Not there yet.
    return null;
  }
}
