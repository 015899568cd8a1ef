import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '#test/until.ts';

const main = new URL('../../worker-agent/cli/main.ts', import.meta.url).pathname;
/** How often the log is looked at while the program starts. */
const lookMs = 10;
/** How much of its log is shown where it was waited for in vain. */
const shownChars = 4_000;

/** A command of `cronfleet` that goes on, in a process of its own. */
export interface Program {
  /** Waits for a line of its log; `ms` is from the start of the process. Throws where it ends before. */
  said(wanted: RegExp): Promise<{ found: RegExpExecArray; ms: number }>;
  /** Resident memory of the process in bytes: now, and at its highest. */
  memory(): { now: number; highest: number };
  /** Processor time in ms: of the process itself, and of its children that have ended (its runs). */
  cpu(): { own: number; runs: number };
  /** Settles when it is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Starts it; what it says goes straight into `log`, as a service's does: nobody else has to wake for a line of it. */
export function startProgram(args: readonly string[], log: string): Program {
  const file = openSync(log, 'w');
  const began = performance.now();
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', file, file] });
  closeSync(file);
  const gone = once(child, 'exit');
  return {
    async said(wanted) {
      const text = () => readFileSync(log, 'utf8');
      const find = async () => {
        for (;;) {
          const found = wanted.exec(text());
          if (found !== null) return { found, ms: performance.now() - began };
          const how = child.exitCode ?? child.signalCode;
          if (how !== null) throw new Error(`${args[0]} ended with ${how}: ${text()}`);
          await sleep(lookMs);
        }
      };
      return await within(`${args[0]} to say ${wanted}`, find(), () => text().slice(-shownChars));
    },
    memory: () => memoryOf(child.pid ?? 0),
    cpu: () => cpuOf(child.pid ?? 0),
    async end(signal) {
      child.kill(signal);
      await gone;
    },
  };
}

function memoryOf(pid: number): { now: number; highest: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1_024;
  return { now: bytes('VmRSS'), highest: bytes('VmHWM') };
}

/** A hundredth of a second is what Linux counts in, whatever its own tick. */
const msPerTick = 10;

function cpuOf(pid: number): { own: number; runs: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name stands in brackets and may hold anything; utime is the 12th field behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ms = (...at: number[]) => at.reduce((sum, n) => sum + Number(fields[n]), 0) * msPerTick;
  return { own: ms(11, 12), runs: ms(13, 14) };
}
