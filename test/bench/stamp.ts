import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A job's own word for when it began. */
export interface Stamp {
  run: string;
  /** UTC milliseconds, with fractions. */
  atMs: number;
}

/** What a job runs to stamp itself, and how much that knows. */
export interface Stamper {
  job: { argv: string[] } | { command: string };
  how: string;
  /** The same as a line for a shell that no agent started, under a run's id. */
  line(run: string): string;
  /** All stamps so far, in the order in which they were written. */
  read(): Stamp[];
}

/** Reads the clock before all else, then adds a line to the file in one write, which no other can come between. */
const program = `
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct timespec t;
  char line[512];
  clock_gettime(CLOCK_REALTIME, &t);
  char *run = getenv("CRON_RUN_ID");
  int file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0600);
  int length = snprintf(line, sizeof line, "%s %lld%09ld\\n", run, (long long)t.tv_sec, t.tv_nsec);
  return argc == 2 && run && write(file, line, length) == length ? 0 : 1;
}
`;

/**
 * A static program, started without a shell: what it costs to stamp itself is what any command costs to start. Where no C compiler is,
 * a shell and `date`, which come some milliseconds later.
 */
export function makeStamper(dir: string): Stamper {
  const [source, binary, stamps] = ['stamp.c', 'stamp', 'stamps'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(source, program);
  writeFileSync(stamps, '');
  const { error, status, stderr } = spawnSync('cc', ['-O2', '-static', '-o', binary, source], {
    encoding: 'utf8',
  });
  if (error === undefined && status !== 0) throw new Error(`cc: ${stderr}`);
  const dated = `echo "$CRON_RUN_ID $(date +%s%N)" >> ${stamps}`;
  return {
    ...(error === undefined
      ? { job: { argv: [binary, stamps] }, how: 'by a C program' }
      : { job: { command: dated }, how: 'by sh and date' }),
    line: (run) =>
      `CRON_RUN_ID=${run}; export CRON_RUN_ID; ${error === undefined ? `exec ${binary} ${stamps}` : dated}`,
    read: () =>
      readFileSync(stamps, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => {
          const [run = '', ns = ''] = line.split(' ');
          return { run, atMs: Number(BigInt(ns) / 1_000n) / 1_000 };
        }),
  };
}
