import type { Run } from '#core/model/run.ts';
import { coveredReason } from './due.ts';
import type { WhyFacts } from './why.ts';
import type { WhyEvidence } from './why-evidence.ts';

/** A start is worth a word from here on: a fleet at rest keeps within it (P3). */
const lateFromMs = 2_000;

type LateFacts = Pick<WhyFacts, 'instant' | 'runs' | 'around' | 'record' | 'historyAway'>;

const shown = (ms: number) => new Date(ms).toISOString();
/** In mode all the worker's; '' where there is but one. */
export const laneOf = ({ id }: Run) => id.split('~')[4] ?? '';

export function isLate(run: Run, instant: number): run is Run & { startedAt: number } {
  return run.startedAt !== null && run.startedAt - instant >= lateFromMs;
}

/** What the records show of why a run started late, and no more than that: nothing is concluded from what is not there. */
export function lateness(run: Run, facts: LateFacts): { said: string[]; evidence: WhyEvidence[] } {
  const { instant } = facts;
  if (!isLate(run, instant)) return { said: [], evidence: [] };
  const { startedAt, claimedAt, worker } = run;
  const own = [
    ...(claimedAt === null ? [] : [evident(claimedAt, `${run.id}: claimed by ${worker}`)]),
    evident(startedAt, `${run.id}: started, ${startedAt - instant} ms after the instant`),
  ];
  if (run.attempt > 1) {
    const before = facts.runs.find((one) => one.attempt === run.attempt - 1 && laneOf(one) === laneOf(run));
    const ended = before?.endedAt ?? null;
    if (before === undefined || ended === null) return { said: [], evidence: own };
    return {
      said: [`attempt ${before.attempt} had ended ${shown(ended)} as ${stateText(before)}`],
      evidence: own,
    };
  }
  const { said, evidence } = heldUp(run, startedAt, facts);
  const covered = facts.around.filter(
    (one) => one.state === 'missed' && one.reason === coveredReason(instant) && laneOf(one) === laneOf(run),
  );
  const count = covered.reduce((sum, one) => sum + one.count, 0);
  return {
    said: [
      ...said,
      ...(count === 0 ? [] : [`${count} missed before it ${count === 1 ? 'is' : 'are'} covered by it`]),
    ],
    evidence: [
      ...covered.map((one) => evident(one.instant, `${one.id}: ${one.count} ${stateText(one)}`)),
      ...evidence,
      ...own,
    ],
  };
}

/** Where the time went between the instant and the start of a first attempt. */
function heldUp(
  run: Run,
  startedAt: number,
  { instant, around, record, historyAway }: LateFacts,
): { said: string[]; evidence: WhyEvidence[] } {
  if (run.trigger === 'backfill')
    return { said: [`${run.by ?? 'somebody'} asked for it by a backfill`], evidence: [] };
  const claimedAt = run.claimedAt ?? startedAt;
  const said: string[] = run.trigger === 'catch-up' ? ['it was caught up on'] : [];
  const evidence: WhyEvidence[] = [];
  let free = instant;
  // As the job is now: of what it was then there is no record.
  const overlap = record?.job.overlap;
  const other = overlap === 'allow' ? undefined : livedUntil(run, around, instant, startedAt);
  if (other !== undefined) {
    free = other.endedAt;
    const policy = overlap === undefined ? '' : `, and the job's overlap is ${overlap}`;
    said.push(`${other.id} lived until ${shown(free)}${policy}`);
    evidence.push(evident(free, `${other.id}: ${stateText(other)}`));
  }
  if (claimedAt - free >= lateFromMs)
    said.push(
      `${run.worker} claimed it only ${claimedAt - free} ms after ${other === undefined ? 'the instant' : 'that'}${historyAway ? '' : ', and no record says what kept everybody from it'}`,
    );
  const atHand = startedAt - Math.max(claimedAt, instant);
  if (atHand >= lateFromMs)
    said.push(`${run.worker}, which had claimed it ${shown(claimedAt)}, took ${atHand} ms to start it`);
  return { said, evidence };
}

/** The last other run of the lane that was alive at the instant and had ended by the start. */
function livedUntil(
  run: Run,
  around: readonly Run[],
  instant: number,
  startedAt: number,
): (Run & { endedAt: number }) | undefined {
  return around
    .filter(
      (one): one is Run & { endedAt: number } =>
        one.id !== run.id &&
        laneOf(one) === laneOf(run) &&
        // Nobody claims beside a living run; one closed as lost has no start.
        one.claimedAt !== null &&
        one.endedAt !== null &&
        one.endedAt > instant &&
        one.endedAt <= startedAt,
    )
    .sort((a, b) => b.endedAt - a.endedAt)[0];
}

export function stateText({ state, reason }: Run): string {
  return `${state}${reason ? ` (${reason})` : ''}`;
}

function evident(at: number | null, what: string): WhyEvidence {
  return { at, what, source: 'history' };
}
