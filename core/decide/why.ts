import type { JobRecord } from '#core/model/job.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import { cursorAheadMs, type Instants, onTimeMs } from './due.ts';
import { isPaused } from './may-start.ts';
import { evidenceOf, type WhyEvidence } from './why-evidence.ts';
import { laneOf, lateness } from './why-late.ts';

/** All that is known about one instant of a job. */
export interface WhyFacts {
  job: string;
  instant: number;
  now: number;
  record: JobRecord | null;
  schedule: Instants | null;
  /** The last decided instant of each lane: `~`, or in mode all the workers. */
  cursors: readonly { lane: string; instant: number; from: string; why: string }[];
  /** Records that cover the instant, latest attempt first: of History, and owed to it. */
  runs: readonly Run[];
  /** Where the run started late: records of the job that were due before that start, newest first, as far as they were read. */
  around: readonly Run[];
  /** History does not answer: of its records none is in `runs`. */
  historyAway: boolean;
  /** Keys that live for it. */
  running: readonly { run: string; worker: string; state: string; at: number; attempt: number }[];
  /** Orders that have yet to come to it. */
  orders: readonly { id: string; kind: string; by: string; at: number }[];
  /** Who might run the job; `not` says why one would not. */
  workers: readonly { id: string; not: string | null }[];
  /** Keys of its cursors and runs that nobody can read. */
  strangers: readonly { key: string; problem: string }[];
}

export interface Why {
  /** A run's state; or due, coming, skipped, no_instant, unknown. */
  state: string;
  sentence: string;
  run: string | null;
  evidence: WhyEvidence[];
  /** Stores that did not answer: what only they know is left out. */
  away: 'history'[];
}

type Verdict = Omit<Why, 'evidence' | 'away'>;

const shown = (ms: number) => new Date(ms).toISOString();

/** What became of an instant, or will, and why. Every answer names what it rests on. */
export function explain(facts: WhyFacts): Why {
  const verdict =
    living(facts) ?? recorded(facts) ?? unreadable(facts) ?? unscheduled(facts) ?? unrecorded(facts);
  return { ...verdict, evidence: evidenceOf(facts), away: facts.historyAway ? ['history'] : [] };
}

function say(state: string, sentence: string, run: string | null = null): Verdict {
  return { state, sentence, run };
}

/** Something lives for it. */
function living(facts: WhyFacts): Verdict | null {
  const { running, runs } = facts;
  const [live] = running;
  if (live === undefined) return null;
  const others = running.length > 1 ? ` (one of ${running.length})` : '';
  if (live.state === 'waiting') {
    const [before] = runs;
    const after = before === undefined ? '' : ` after attempt ${before.attempt} ${ended(before)}`;
    return say('waiting', `${live.run} waits on ${live.worker} for its turn${after}${others}.`, live.run);
  }
  const started = runs.find(({ id, state }) => id === live.run && state === 'running');
  return started !== undefined
    ? say('running', `${live.run} is running on ${live.worker}${others}.${late(started, facts)}`, live.run)
    : say('claimed', `${live.run} is claimed by ${live.worker}, which starts it${others}.`, live.run);
}

/** The ledger has it. */
function recorded(facts: WhyFacts): Verdict | null {
  const { runs, instant } = facts;
  const [run] = runs;
  if (run === undefined) return null;
  const lanes = new Map<string, Run>();
  for (const one of runs) {
    const lane = laneOf(one);
    if (!lanes.has(lane)) lanes.set(lane, one);
  }
  if (lanes.size > 1) {
    const each = [...lanes.values()].map((one) => `${one.worker ?? 'nobody'}: ${one.state}`).join(', ');
    const worst = [...lanes.values()].find(({ state }) => state !== 'succeeded') ?? run;
    return say(worst.state, `Every worker that fits ran it by itself (${each}).`, worst.id);
  }
  return say(run.state, `${sentenceOf(run, instant)}${late(run, facts)}`, run.id);
}

function late(run: Run, facts: WhyFacts): string {
  const { said } = lateness(run, facts);
  return said.length === 0 ? '' : ` It started late: ${said.join('; ')}.`;
}

function sentenceOf(run: Run, instant: number): string {
  const reason = run.reason ? `: ${run.reason}` : '';
  if (run.count > 1 && run.instant !== null && run.until !== null)
    return `It is one of ${run.count} instants, ${shown(run.instant)} to ${shown(run.until)}, that were ${run.state}${reason}.`;
  if (run.startedAt === null && isTerminal(run.state)) return `It was ${run.state}${reason}.`;
  const where = run.worker === null ? '' : ` on ${run.worker}`;
  const after =
    run.startedAt === null || run.attempt > 1
      ? ''
      : `, started ${Math.max(0, run.startedAt - instant)} ms after the instant`;
  const attempt = run.attempt > 1 ? ` at attempt ${run.attempt}` : '';
  if (!isTerminal(run.state)) return `It is ${run.state}${where}${attempt}${after}.`;
  return `It ran${where} and ${ended(run)}${attempt}${run.state === 'succeeded' ? '' : reason}${after}.`;
}

function ended({ state }: Run): string {
  const words: Partial<Record<Run['state'], string>> = { succeeded: 'succeeded', failed: 'failed' };
  return words[state] ?? (state === 'timed_out' ? 'timed out' : `was ${state}`);
}

/** Whoever has decided or settled it wrote its record, and that can't be read. What nobody has decided yet has none. */
function unreadable({ historyAway, instant, now, record, cursors }: WhyFacts): Verdict | null {
  if (!historyAway || instant > now) return null;
  const decided = cursors.filter((cursor) => cursor.instant >= instant);
  const told = Math.max(record?.floor ?? 0, record?.settled ?? 0);
  if (record !== null && decided.length === 0 && instant > told) return null;
  const far = decided.map(({ instant: at, why }) => `${why}, up to ${shown(at)}`).join('; ');
  return say(
    'unknown',
    `The history does not answer at the moment, and it alone knows what became of it${far === '' ? '' : `: it was decided (${far})`}.`,
  );
}

/** There is nothing that could be due. */
function unscheduled({ job, record, schedule, instant, cursors }: WhyFacts): Verdict | null {
  if (record === null) {
    const decided = cursors.some((cursor) => cursor.instant >= instant);
    return say(
      'unknown',
      `There is no job ${job} (any more), and the ledger holds nothing for this instant${decided ? '; it was decided, but its record is no longer kept' : ''}.`,
    );
  }
  if (schedule === null) return say('no_instant', `${job} has no schedule: it runs by hand only.`);
  if (schedule.next(instant - 1) === instant) return null;
  const [before, after] = [schedule.prev(instant), schedule.next(instant)];
  const near = [
    ...(before === null ? [] : [`the one before is ${shown(before)}`]),
    ...(after === null ? [] : [`the next is ${shown(after)}`]),
  ].join(', ');
  const what = `${shown(instant)} is not an instant of ${job}'s present schedule`;
  return say('no_instant', `${what}${near === '' ? '' : `: ${near}`}.`);
}

/** It is an instant of the schedule, and nobody has said anything about it yet. */
function unrecorded(facts: WhyFacts): Verdict {
  const { record, instant, now, orders, cursors, job } = facts;
  if (record === null) return say('unknown', `There is no job ${job}.`);
  const [order] = orders;
  if (order !== undefined)
    return say('waiting', `It waits its turn in order ${order.id} (${order.kind}, by ${order.by}).`);
  const left = record.skips.includes(instant);
  if (instant > now) return left ? say('coming', 'It will not run: it was left out by hand.') : coming(facts);
  if (left) return say('skipped', 'It was left out by hand.');
  // Of what nobody owed anything there is no record to miss, however far the cursor has come since.
  if (instant <= record.createdAt || (instant <= record.floor && record.floorWhy === 'created'))
    return below(facts, record);
  const decided = cursors.filter((cursor) => cursor.instant >= instant);
  if (decided.length > 0 && (record.job.mode === 'one' || decided.length === cursors.length))
    return say(
      'unknown',
      `It was decided (${decided.map(({ instant: at, why }) => `${why}, up to ${shown(at)}`).join('; ')}), but its record is no longer kept, or has not reached History yet.`,
    );
  if (instant <= record.floor) return below(facts, record);
  if (!record.job.enabled) return say('skipped', 'It did not run: the job is disabled.');
  const { paused } = record;
  if (paused !== null && isPaused(paused, instant))
    return say('skipped', `It did not run: ${paused.by} had paused the job${because(paused.reason)}.`);
  return due(facts);
}

/** Not due: it lies below the floor. */
function below({ instant }: WhyFacts, { floor, floorWhy, createdAt }: JobRecord): Verdict {
  if (instant <= createdAt) return say('no_instant', `The job was made only later, ${shown(createdAt)}.`);
  const why = {
    created: 'what decides its instants took its present form only later',
    edited: 'the job was edited after it',
    paused: 'the job was paused',
    disabled: 'the job was disabled',
  }[floorWhy];
  return say(
    floorWhy === 'created' ? 'no_instant' : 'skipped',
    `It did not run: ${why} (until ${shown(floor)}).`,
  );
}

function coming({ record, instant, workers, cursors, now }: WhyFacts): Verdict {
  if (record !== null && !record.job.enabled)
    return say('coming', 'It will not run as things stand: the job is disabled.');
  if (record !== null && isPaused(record.paused, instant))
    return say(
      'coming',
      `It will not run as things stand: ${record.paused.by} has paused the job${because(record.paused.reason)}.`,
    );
  const ahead = cursors.find((cursor) => cursor.instant >= instant && cursor.instant > now + cursorAheadMs);
  if (ahead !== undefined)
    return say(
      'coming',
      `It will not run as things stand: a cursor (of ${ahead.from}) says that all is decided up to ${shown(ahead.instant)}, ahead of the clock; cronfleet doctor says how to mend that.`,
    );
  const able = workers.filter(({ not }) => not === null);
  return say(
    'coming',
    able.length === 0
      ? `It is still to come, but nobody may run it: ${nobody(workers)}.`
      : `It is still to come; ${able.map(({ id }) => id).join(', ')} may run it.`,
  );
}

function due({ job, instant, now, workers, strangers }: WhyFacts): Verdict {
  const [stranger] = strangers;
  if (stranger !== undefined)
    return say(
      'due',
      `It is due since ${shown(instant)}, and nobody decides it: the store's key ${stranger.key} can't be read (${stranger.problem}). ${remedy(job, stranger.key)}.`,
    );
  const able = workers.filter(({ not }) => not === null).map(({ id }) => id);
  if (able.length === 0)
    return say('due', `It is due since ${shown(instant)}, and nobody may run it: ${nobody(workers)}.`);
  if (now - instant <= onTimeMs) return say('due', `It is due now; ${able.join(', ')} may take it.`);
  return say(
    'due',
    `It is due since ${shown(instant)}, and nobody has decided it yet: ${able.join(', ')} may run it, but is held back (a living run, no free slot) or does not answer.`,
  );
}

function nobody(workers: WhyFacts['workers']): string {
  if (workers.length === 0) return 'there is no worker';
  return workers.map(({ id, not }) => `${id} ${not ?? ''}`.trim()).join('; ');
}

function because(reason: string): string {
  return reason === '' ? '' : ` (${reason})`;
}

/** A cursor tells what has run already: without it everything since the floor would be due again, so the floor is moved first. */
function remedy(job: string, key: string): string {
  return `To mend it: cronfleet pause ${job}, cronfleet resume ${job}, etcdctl del ${key}`;
}
