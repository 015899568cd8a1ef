import { scheduleOf } from '#core/cluster/check-job.ts';
import { type Layout, splitKey } from '#core/cluster/keys.ts';
import { decode, JobValue, WorkerValue } from '#core/cluster/records.ts';
import { isTerminal, type Run } from '#core/model/run.ts';
import type { Change } from '#core/ports/kv.ts';
import { type Stamp, unsyncedMs } from '../host.ts';
import { modOf, type SimLog } from '../sim-log.ts';
import { epoch } from '../world.ts';
import { covered, ordered, recordsOf } from './covering.ts';
import { cursorOf, type Evidence, text, type Violation } from './evidence.ts';

export function firstRecordStays({ history, endAt }: Evidence): Violation[] {
  return history.overwritten.map((run) => ({
    property: 'P2',
    at: endAt,
    what: `the terminal record of ${run} was replaced by another`,
  }));
}

/** Each start has one terminal record, and it says what the process did. */
export function records({ stamps, history, hosts, log, layout, endAt, scenario }: Evidence): Violation[] {
  // A mark that found no room leaves the exit status alone, which does not say whose signal it was: the warden's, or that of an agent
  // which died before the store heard of it. What KILL ended has not even that: without its mark it is lost.
  const markless = scenario.faults.some(({ kind }) => kind === 'diskFull');
  const hostOffset = hosts[0]?.wallOffset ?? 0;
  const found: Violation[] = [];
  for (const stamp of stamps) {
    if (stamp.end === null && stamp.start > endAt - 60_000) continue;
    const wrong = (what: string, property = 'P2') =>
      found.push({ property, at: stamp.start, what: `${stamp.run} ${what}` });
    const record = history.records.get(stamp.run);
    if (stamp.end === null || stamp.end > endAt - 20_000) continue;
    if (log.present.has(layout.owing(stamp.run))) continue;
    if (record === undefined || !isTerminal(record.state))
      wrong(`ended, and History says ${record?.state ?? 'nothing'}`);
    else if (record.state === 'lost') {
      // With one worker nobody else closes anything: a power cut loses a run, or its traces, and so does a mark that found no room.
      const untraced = scenario.faults.some(
        ({ kind, at }) => kind === 'reboot' && at >= stamp.start && at - stamp.start < unsyncedMs,
      );
      const explained = stamp.endedBy === 'power' || untraced || (markless && stamp.endedBy === 'signal');
      if (hosts.length === 1 && !explained) wrong('is called lost, and its process ended well', 'P12');
    } else wrongEnd(stamp, record, wrong, markless);
  }
  for (const record of history.records.values()) {
    const last = Math.max(record.startedAt ?? 0, record.claimedAt ?? 0) - hostOffset - epoch;
    if (log.present.has(layout.owing(record.id))) continue;
    if (!isTerminal(record.state) && last > endAt - 60_000) continue;
    if (!isTerminal(record.state))
      found.push({ property: 'P2', at: endAt, what: `${record.id} has no terminal record: ${record.state}` });
    else if (record.startedAt !== null && !stamps.some(({ run }) => run === record.id))
      found.push({
        property: 'P2',
        at: endAt,
        what: `${record.id} has a start in History that no process made`,
      });
  }
  return found;
}

function endedByWarden({ endedBy, plan }: Stamp): boolean {
  return endedBy === 'signal' && plan.job.onLeaseLoss === 'kill';
}

function wrongEnd(
  stamp: Stamp,
  record: Run,
  wrong: (what: string, property?: string) => void,
  markless: boolean,
): void {
  if (record.startedAt === null)
    wrong(`ran, and its record (${record.state}: ${record.reason}) has no start`);
  else if (stamp.endedBy === 'exit' && stamp.signalled === null) {
    if (record.exitCode !== stamp.code)
      wrong(`exited with ${stamp.code}, its record says ${record.exitCode} (${record.state})`, 'P12');
    // Whose kill or timeout came as it was ending by itself may be called by that.
    else if (!['killed', 'timed_out', stamp.code === 0 ? 'succeeded' : 'failed'].includes(record.state))
      wrong(`exited with ${stamp.code} and is called ${record.state}`, 'P12');
  } else if (
    stamp.endedBy === 'signal' &&
    record.state !== 'killed' &&
    record.state !== 'timed_out' &&
    !(markless && (endedByWarden(stamp) || (record.exitCode ?? 0) > 128))
  )
    wrong(`was ended by our signal and is called ${record.state}`);
}

/** Whoever moves a cursor leaves a record of every instant it passes; no cursor goes back. */
export function decisions(evidence: Evidence): Violation[] {
  const { log, layout, endAt } = evidence;
  const found: Violation[] = [];
  const by = recordsOf(evidence);
  for (const { change, before, at } of log.changes) {
    if (change.type !== 'put') continue;
    const key = splitKey(layout.cursors, change.entry.key);
    const to = key === null ? null : cursorOf(change.entry);
    if (key === null || to === null) continue;
    const from = before === null ? null : cursorOf(before);
    const fresh = at > endAt - 60_000;
    if (from !== null && to < from) {
      found.push({
        property: 'P1',
        at,
        what: `the cursor of ${key.job} went back from ${text(from)} to ${text(to)}`,
      });
      continue;
    }
    const entry = log.before(layout.job(key.job), change.entry.mod);
    const read = entry === null ? null : decode(JobValue, entry);
    if (!read?.ok) {
      found.push({ property: 'P5', at, what: `the cursor of ${key.job} moved without its job` });
      continue;
    }
    const record = read.value;
    const schedule = scheduleOf(record.job);
    const above = from ?? record.floor;
    const since =
      record.floorWhy === 'created' || key.rest[0] !== '~'
        ? Math.max(above, record.floor, from === null ? cameAt(log, layout, key.rest[0] ?? '', change) : 0)
        : // Nobody is owed anything for what an ended version has settled; whether it did is looked at there.
          Math.max(above, Math.min(record.settled ?? 0, record.floor));
    for (
      let next = schedule?.next(since) ?? null;
      next !== null && next <= to;
      next = schedule?.next(next) ?? null
    )
      if (!fresh && !covered(by.get(key.job) ?? [], next) && !ordered(evidence, key.job, next))
        found.push({
          property: 'P2',
          at,
          what: `${key.job} ${text(next)} was passed by its cursor and has no record`,
        });
  }
  return found;
}

/** In a lane of its own a worker counts from when it came. */
function cameAt(log: SimLog, layout: Layout, lane: string, change: Change): number {
  const entry = log.before(layout.worker(lane), modOf(change));
  const read = entry === null ? null : decode(WorkerValue, entry);
  return read?.ok ? read.value.since : 0;
}
