import { relative } from 'node:path';
import { inspect } from 'node:util';
import { emptyTally, tallyMark } from './tally.ts';

/** The part of node:test's events that we read; `@types/node` types each apart. */
interface TestEvent {
  type: string;
  data: {
    name?: string;
    file?: string;
    /** Missing where the event is about a whole file and not about a test in it. */
    entryFile?: string;
    line?: number;
    nesting?: number;
    message?: string;
    skip?: string | boolean;
    todo?: string | boolean;
    details?: {
      type?: string;
      duration_ms?: number;
      error?: { failureType?: string; message: string; cause?: unknown };
    };
  };
}

/**
 * A line that is shown though nothing failed: a file says that a part of it needs something that no machine of ours has, so it
 * has no such tests. What could run here and does not is a skipped test instead.
 */
const notRunMark = 'NOT RUN HERE: ';
/** How a test says a figure that is worth reading though it passed. */
const figureMark = 'FIGURE: ';

/** How much of what a file printed is shown beside its failures; the end is what tells. */
const shownOutput = 16_384;

/**
 * A reporter of `node --test` that is silent about what passes, but for figures: it prints each failure when it happens, with its file's own
 * output, and ends with one marked line of JSON for the runner (tally.ts).
 */
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const tally = emptyTally();
  const outputs = new Map<string, string>();
  const parents: string[] = [];
  for await (const { type, data } of events) {
    const file = relative(process.cwd(), data.entryFile ?? data.file ?? '');
    if (type === 'test:start') {
      parents.length = data.nesting ?? 0;
      parents.push(data.name ?? '');
    } else if (type === 'test:stdout' || type === 'test:stderr') {
      outputs.set(file, `${outputs.get(file) ?? ''}${data.message}`.slice(-shownOutput));
      for (const line of (data.message ?? '').split('\n'))
        if (line.startsWith(notRunMark)) yield `${file}: ${line}\n`;
        else if (line.startsWith(figureMark)) yield `${line.slice(figureMark.length)}\n`;
    } else if (type === 'test:pass' || type === 'test:fail') {
      const name = [...parents.slice(0, data.nesting ?? 0), data.name ?? ''].join(' > ');
      const isFile = data.entryFile === undefined;
      const { error } = data.details ?? {};
      if (isSkipped(data.skip) || isSkipped(data.todo)) {
        if (data.details?.type !== 'suite') tally.skipped.push(`${file}:${data.line}  ${name}`);
      } else if (type === 'test:pass') {
        if (isFile) {
          tally.failed += 1;
          yield `\n✖ ${file}: holds no test\n`;
        } else if (data.details?.type !== 'suite') tally.passed += 1;
      } else if (error?.failureType !== 'subtestsFailed') {
        tally.failed += 1;
        const where = isFile ? `${file}: ended badly` : `${file}:${data.line}  ${name}`;
        yield `\n✖ ${where}\n${indent(whatFailed(error))}\n`;
        const output = outputs.get(file);
        outputs.delete(file);
        if (output) yield `${indent(`its file printed:\n${output.trimEnd()}`)}\n`;
      }
    }
  }
  yield `${tallyMark}${JSON.stringify(tally)}\n`;
}

/** `test.skip` says true or a reason; node leaves the field out of other tests or sets it false. */
function isSkipped(mark: string | boolean | undefined): boolean {
  return mark !== undefined && mark !== false;
}

function whatFailed(error: { failureType?: string; message: string; cause?: unknown } | undefined): string {
  const { cause } = error ?? {};
  if (cause instanceof Error)
    return cause.stack?.includes(cause.message) ? inspect(cause) : `${cause.message}\n${cause.stack}`;
  if (cause !== undefined && typeof cause !== 'string') return inspect(cause);
  return `${error?.failureType ?? 'failed'}: ${error?.message ?? ''}`;
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '    ');
}
