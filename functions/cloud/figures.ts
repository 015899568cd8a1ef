import type { LookOut } from '#core/cluster/look-out.ts';
import type { Heed } from '../watch.ts';

/** The figures of a look as a log line that CloudWatch makes metrics of (embedded metric format), for alarms that need no channel of ours. */
export function figuresTo(write: (line: string) => void, stage: string): Heed {
  return async (seen) => write(figuresOf(seen, stage));
}

function figuresOf({ at, live, overdue, dead, unreadable }: LookOut, Stage: string): string {
  const figures = { Overdue: overdue.length, Dead: dead.length, Unreadable: unreadable.length, Live: live };
  const Metrics = Object.keys(figures).map((Name) => ({ Name, Unit: 'Count' }));
  return JSON.stringify({
    _aws: {
      Timestamp: at,
      CloudWatchMetrics: [{ Namespace: 'cronfleet', Dimensions: [['Stage']], Metrics }],
    },
    Stage,
    ...figures,
  });
}
