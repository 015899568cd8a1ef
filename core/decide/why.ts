import type { JobRecord } from '#core/model/job.ts';
import type { Run } from '#core/model/run.ts';
import { type Instants, onTimeMs } from './due.ts';
import { isPaused } from './may-start.ts';

/** All that is known about one instant of a job. */
export interface WhyFacts {
  job: string;
  instant: number;
  now: number;
  record: JobRecord | null;
  schedule: Instants | null;
  /** The last decided instant. */
  cursor: { instant: number; from: string; why: string } | null;
  /** Records of History that cover the instant, latest attempt first. */
  runs: readonly Run[];
  /** Keys that live for it. */
  running: readonly { run: string; worker: string; state: string; at: number; trigger: string }[];
  /** Ids of the live workers that fit the job. */
  fitting: readonly string[];
}

export interface Why {
  state: string;
  sentence: string;
  run: string | null;
  evidence: { at: number | null; what: string; source: string }[];
}

const shown = (ms: number) => new Date(ms).toISOString();

/** What became of an instant, or will, and why. Every answer names what it rests on. */
export function explain(facts: WhyFacts): Why {
  const evidence = evidenceOf(facts);
  const say = (state: string, sentence: string, run: string | null = null): Why => ({
    state,
    sentence,
    run,
    evidence,
  });
  const { instant, now, record, runs, running, schedule, cursor, job } = facts;
  const [live] = running;
  if (live !== undefined)
    return say(
      live.state === 'waiting' ? 'waiting' : 'running',
      `${live.run} is ${live.state === 'waiting' ? 'waiting for its next attempt' : 'running'} on ${live.worker}.`,
      live.run,
    );
  const [run] = runs;
  if (run !== undefined) return say(run.state, sentenceOf(run, instant), run.id);
  if (record === null)
    return say('unknown', `There is no job ${job}, and the ledger holds nothing for this instant.`);
  if (schedule === null) return say('no_instant', `${job} has no schedule: it runs by hand only.`);
  if (schedule.next(instant - 1) !== instant) {
    const before = schedule.prev(instant);
    const after = schedule.next(instant);
    const near = [
      before === null ? '' : `the one before is ${shown(before)}`,
      after === null ? '' : `the next is ${shown(after)}`,
    ]
      .filter(Boolean)
      .join(', ');
    return say(
      'no_instant',
      `${shown(instant)} is not an instant of ${job}'s present schedule${near ? `: ${near}` : ''}.`,
    );
  }
  if (record.skips.includes(instant)) return say('skipped', 'It was left out by hand.');
  if (instant > now) return coming(facts, say);
  if (instant <= record.floor) {
    const why = {
      created: 'the job was made, or its schedule took this form, only later',
      edited: 'the job was edited after it',
      paused: 'the job was paused',
      disabled: 'the job was disabled',
    }[record.floorWhy];
    return say(
      record.floorWhy === 'created' ? 'no_instant' : 'skipped',
      `It did not run: ${why} (${shown(record.floor)}).`,
    );
  }
  if (cursor !== null && instant <= cursor.instant)
    return say(
      'unknown',
      `It was decided (cursor ${shown(cursor.instant)}), but its record is no longer kept, or not in History yet.`,
    );
  if (!record.job.enabled) return say('skipped', 'The job is disabled.');
  if (isPaused(record.paused, instant) && instant >= record.paused.at)
    return say('skipped', `The job was paused by ${record.paused.by}.`);
  if (facts.fitting.length === 0) return say('due', 'Nobody has decided it: no live worker fits this job.');
  if (now - instant <= onTimeMs) return say('due', `It is due now; ${facts.fitting.join(', ')} may take it.`);
  return say(
    'due',
    `It is due since ${shown(instant)} and nobody has decided it yet: every worker that fits is held back (a living run, no free slot) or does not answer.`,
  );
}

function coming({ record, instant, fitting }: WhyFacts, say: (state: string, sentence: string) => Why): Why {
  if (record !== null && !record.job.enabled)
    return say('coming', 'It will not run as things stand: the job is disabled.');
  if (record !== null && isPaused(record.paused, instant))
    return say('coming', `It will not run as things stand: the job is paused by ${record.paused.by}.`);
  if (fitting.length === 0) return say('coming', 'It is still to come, but no live worker fits this job.');
  return say('coming', 'It is still to come.');
}

function sentenceOf(run: Run, instant: number): string {
  const where = run.worker === null ? '' : ` on ${run.worker}`;
  const reason = run.reason ? `: ${run.reason}` : '';
  const late =
    run.startedAt === null ? '' : `, started ${Math.max(0, run.startedAt - instant)} ms after the instant`;
  if (run.count > 1) return `It is one of ${run.count} instants that were ${run.state}${reason}.`;
  if (run.state === 'skipped' || run.state === 'missed' || run.state === 'cancelled')
    return `It was ${run.state}${reason}.`;
  if (run.state === 'lost') return `It was lost${where}${reason}.`;
  if (run.state === 'succeeded') return `It ran${where} and succeeded${late}.`;
  if (run.state === 'running' || run.state === 'claimed') return `It is running${where}${late}.`;
  return `It ran${where} and ${run.state === 'failed' ? 'failed' : run.state === 'timed_out' ? 'timed out' : `was ${run.state}`}${reason}${late}.`;
}

function evidenceOf({ record, cursor, runs, running, fitting, now }: WhyFacts): Why['evidence'] {
  const evidence: Why['evidence'] = [];
  for (const { run, worker, state, at } of running)
    evidence.push({ at, what: `${run} is ${state} on ${worker}`, source: 'running key' });
  for (const run of runs)
    evidence.push({
      at: run.endedAt ?? run.startedAt,
      what: `${run.id}: ${run.state}${run.reason ? ` (${run.reason})` : ''}`,
      source: 'history',
    });
  if (cursor !== null)
    evidence.push({
      at: null,
      what: `decided up to ${shown(cursor.instant)} (${cursor.why}, by ${cursor.from})`,
      source: 'cursor',
    });
  if (record !== null) {
    evidence.push({
      at: record.updatedAt,
      what: `job saved by ${record.updatedBy}; ${record.job.enabled ? 'enabled' : 'disabled'}`,
      source: 'job',
    });
    if (record.paused !== null)
      evidence.push({
        at: record.paused.at,
        what: `paused by ${record.paused.by}${record.paused.until === null ? '' : ` until ${shown(record.paused.until)}`}`,
        source: 'job',
      });
  }
  evidence.push({
    at: now,
    what: fitting.length === 0 ? 'no live worker fits' : `live workers that fit: ${fitting.join(', ')}`,
    source: 'workers',
  });
  return evidence;
}
