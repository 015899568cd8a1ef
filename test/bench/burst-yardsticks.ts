import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * How fast a bare loop starts the command lines that the agent starts in a burst. A job stamps its own start by
 * `stampLine(folder)`: the shell makes an empty file without a fork, and the file's mtime is the stamp. The kernel's
 * coarse clock puts it up to 4 ms early, for the agent and for the loops alike.
 */
export interface Burst {
  /** Milliseconds from the loop's begin to the last job's own stamp. */
  lastStartMs: number;
  startsPerSecond: number;
}

/** The command of every job of a burst; `$$` is the shell's own pid, so each has a file of its own. */
export function stampLine(folder: string): string {
  return `: > ${folder}/$$`;
}

/** The stamps of a folder in UTC milliseconds, with fractions, in order. */
export function readStamps(folder: string): number[] {
  return readdirSync(folder)
    .map((name) => statSync(join(folder, name), { bigint: true }).mtimeNs)
    .map((ns) => Number(ns / 1_000n) / 1_000)
    .sort((a, b) => a - b);
}

/** posix_spawn of `/bin/sh -c LINE`, then wait for all: what the machine can do without any of us. */
const program = `
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
extern char **environ;
int main(int argc, char **argv) {
  struct timespec t;
  char *line[] = {"/bin/sh", "-c", argv[2], NULL};
  int count = atoi(argv[1]);
  clock_gettime(CLOCK_REALTIME, &t);
  for (int i = 0; i < count; i++) {
    pid_t pid;
    if (argc != 3 || posix_spawn(&pid, line[0], NULL, NULL, line, environ) != 0) return 1;
  }
  while (wait(NULL) > 0) {}
  printf("%lld.%06ld\\n", (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000, t.tv_nsec % 1000000);
  return 0;
}
`;

/**
 * Runs `count` shells of that line from a bare C loop; gives when it began (UTC ms). Compiled by the machine's own C compiler; `missing`
 * says that there is none.
 */
export function cLoop(folder: string, count: number, line: string): { began: number } | { missing: string } {
  writeFileSync(join(folder, 'loop.c'), program);
  const compiled = spawnSync('cc', ['-O2', '-o', join(folder, 'loop'), join(folder, 'loop.c')], {
    encoding: 'utf8',
  });
  if (compiled.error) return { missing: `no C compiler (${compiled.error.message})` };
  if (compiled.status !== 0) throw new Error(`cc: ${compiled.stderr}`);
  const ran = spawnSync(join(folder, 'loop'), [String(count), line], { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`the C loop ended with ${ran.signal ?? ran.status}: ${ran.stderr}`);
  return { began: Number(ran.stdout) };
}

export async function cSpawnLoop(count: number): Promise<Burst | { missing: string }> {
  return await inFolder(async (folder) => {
    const ran = cLoop(folder, count, stampLine(stampsIn(folder)));
    return 'missing' in ran ? ran : measure(folder, count, ran.began);
  });
}

/** Node's own spawn of the same lines, with the output thrown away: a scheduler in Node without any of our care. */
export async function nodeSpawnLoop(count: number): Promise<Burst> {
  return await inFolder(async (folder) => {
    const line = stampLine(stampsIn(folder));
    const began = Date.now();
    await Promise.all(
      Array.from(
        { length: count },
        () =>
          new Promise<void>((resolve, reject) => {
            spawn('/bin/sh', ['-c', line], { stdio: 'ignore' })
              .on('exit', () => resolve())
              .on('error', reject);
          }),
      ),
    );
    return measure(folder, count, began);
  });
}

function stampsIn(folder: string): string {
  const stamps = join(folder, 'stamps');
  mkdirSync(stamps, { recursive: true });
  return stamps;
}

function measure(folder: string, count: number, began: number): Burst {
  const stamps = readStamps(join(folder, 'stamps'));
  // Fewer files than jobs: a job did not run, or a pid came round. Either way the numbers would lie.
  if (stamps.length !== count) throw new Error(`${stamps.length} stamps of ${count} jobs`);
  const lastStartMs = (stamps.at(-1) ?? 0) - began;
  return { lastStartMs, startsPerSecond: Math.round((count * 1000) / lastStartMs) };
}

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'burst-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
