import { isTerminal } from '#core/model/run.ts';
import type { WhyFacts } from './why.ts';
import { lateness, stateText } from './why-late.ts';

/** Something that an answer rests on: when (UTC ms, null: unknown), what, and where it stands. */
export interface WhyEvidence {
  at: number | null;
  what: string;
  source: string;
}

const shown = (ms: number) => new Date(ms).toISOString();

/** What is known, oldest first; what has no time stands at the end. */
export function evidenceOf(facts: WhyFacts): WhyEvidence[] {
  const found = [
    ...ofRuns(facts),
    ...(facts.historyAway ? [{ at: null, what: 'does not answer', source: 'history' }] : []),
    ...ofLanes(facts),
    ...ofStrangers(facts),
    ...ofJob(facts),
    // Who might run it now says nothing about what ended long ago.
    ...(facts.runs.some(({ state }) => isTerminal(state)) ? [] : ofWorkers(facts)),
  ];
  return found.sort((a, b) => (a.at ?? Number.POSITIVE_INFINITY) - (b.at ?? Number.POSITIVE_INFINITY));
}

function ofRuns(facts: WhyFacts): WhyEvidence[] {
  const { running, runs, orders } = facts;
  return [
    ...orders.map(({ id, kind, by, at }) => ({
      at,
      what: `order ${id}: ${kind}, by ${by}`,
      source: 'order',
    })),
    ...running.map(({ run, worker, state, at }) => ({
      at,
      what: `${run} is ${state} by ${worker}`,
      source: 'running key',
    })),
    ...runs.map((run) => ({
      at: run.endedAt ?? run.startedAt,
      what: `${run.id}: ${stateText(run)}`,
      source: 'history',
    })),
    ...(runs[0] === undefined ? [] : lateness(runs[0], facts).evidence),
  ];
}

function ofLanes({ cursors }: WhyFacts): WhyEvidence[] {
  return cursors.map(({ lane, instant, why, from }) => ({
    at: null,
    what: `${lane === '~' ? '' : `lane ${lane}: `}decided up to ${shown(instant)} (${why}, by ${from})`,
    source: 'cursor',
  }));
}

function ofStrangers({ strangers }: WhyFacts): WhyEvidence[] {
  return strangers.map(({ key, problem }) => ({ at: null, what: `can't be read: ${problem}`, source: key }));
}

function ofJob({ record }: WhyFacts): WhyEvidence[] {
  if (record === null) return [];
  const { createdAt, updatedAt, updatedBy, job, floor, paused, skips } = record;
  const saved = `job saved by ${updatedBy}; ${job.enabled ? 'enabled' : 'disabled'}, overlap ${job.overlap}, catchUp ${job.catchUp}`;
  return [
    ...(createdAt === updatedAt ? [] : [{ at: createdAt, what: 'job made', source: 'job' }]),
    { at: updatedAt, what: saved, source: 'job' },
    ...(floor === createdAt ? [] : [{ at: floor, what: 'nothing is due up to here', source: 'job' }]),
    ...(paused === null
      ? []
      : [
          {
            at: paused.at,
            what: `paused by ${paused.by}${paused.until === null ? '' : ` until ${shown(paused.until)}`}${paused.reason ? `: ${paused.reason}` : ''}`,
            source: 'job',
          },
        ]),
    ...(skips.length === 0
      ? []
      : [{ at: null, what: `left out by hand: ${skips.map(shown).join(', ')}`, source: 'job' }]),
  ];
}

function ofWorkers({ workers, now }: WhyFacts): WhyEvidence[] {
  if (workers.length === 0) return [{ at: now, what: 'no worker is registered', source: 'workers' }];
  return workers.map(({ id, not }) => ({
    at: now,
    what: not === null ? `${id} may run it` : `${id} ${not}`,
    source: 'workers',
  }));
}
