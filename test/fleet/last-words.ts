import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of each process: what fits beside the others' into what the runner shows of a file's output. */
const charsEach = 2_000;
const lineChars = 400;
/** Of so many runs that went wrong. */
const runsShown = 3;

/**
 * What explains a failure where nobody can look into a yard's folder: what its processes said of the first runs that `breaches` name, their
 * warnings and errors, and their very last line.
 */
export function lastWords(logs: string, breaches: readonly string[]): string {
  const runs = breaches.flatMap((breach) => /\S+~\S+~\S+/.exec(breach)?.[0] ?? []).slice(0, runsShown);
  return readdirSync(logs)
    .map((name) => {
      const lines = readFileSync(join(logs, name), 'utf8').trimEnd().split('\n');
      const telling = lines.filter(
        (line, at) =>
          at === lines.length - 1 ||
          !/"level":[123]0\b/.test(line) ||
          runs.some((run) => line.includes(`"${run}"`)),
      );
      const text = telling.map((line) => line.slice(0, lineChars)).join('\n');
      return `--- ${name}\n${text.slice(-charsEach)}`;
    })
    .join('\n');
}
