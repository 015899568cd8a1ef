import { decode, OrderValue, OwedValue } from '#core/cluster/records.ts';
import { jobId, parseRunId } from '#core/model/ids.ts';
import { blankRun, type Run } from '#core/model/run.ts';
import { type Evidence, runningOf } from './evidence.ts';

export function covered(of: readonly Run[], instant: number): boolean {
  return of.some(
    (run) => run.instant !== null && run.instant <= instant && instant <= (run.until ?? run.instant),
  );
}

/** What is written down of each job: at History, or owed to it. */
export function recordsOf({ history, log, layout }: Evidence): Map<string, Run[]> {
  const by = new Map<string, Run[]>();
  const owed = [...log.present.values()].flatMap((entry) => {
    const read = entry.key.startsWith(layout.owed) ? decode(OwedValue, entry) : null;
    return read?.ok ? [read.value.run as unknown as Run] : [];
  });
  // A claimed instant is being taken care of; whether it ends is looked at elsewhere.
  const claimed = [...log.present.values()].flatMap((entry) => {
    const value = entry.key.startsWith(layout.running) ? runningOf(entry) : null;
    if (value === null) return [];
    const id = entry.key.slice(entry.key.lastIndexOf('/') + 1);
    const { group, name } = parseRunId(id);
    return [
      blankRun({
        id,
        group,
        name,
        state: 'claimed',
        attempt: 1,
        trigger: value.trigger,
        instant: value.instant,
      }),
    ];
  });
  for (const run of [...history.records.values(), ...owed, ...claimed]) {
    const id = jobId(run.group, run.name);
    by.set(id, [...(by.get(id) ?? []), run]);
  }
  return by;
}

/** An order that is not through yet still stands for what lies ahead of it. */
export function ordered({ log, layout }: Evidence, job: string, instant: number): boolean {
  return [...log.present.values()].some((entry) => {
    if (!entry.key.startsWith(layout.ordersOf(job))) return false;
    const read = decode(OrderValue, entry);
    if (!read.ok || read.value.done) return false;
    const { next, to } = read.value;
    return next !== null && to !== null && next <= instant && instant <= to;
  });
}
