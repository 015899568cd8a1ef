import { decode, JobValue, OwedValue } from '#core/cluster/records.ts';
import { jobId, parseRunId } from '#core/model/ids.ts';
import { isTerminal } from '#core/model/run.ts';
import { modOf, type SimLog } from '../sim-log.ts';
import { epoch } from '../world.ts';
import { type Evidence, eligible, isOverworked, runningOf, type Violation } from './evidence.ts';

/** A confirmed kill leaves no process; and nobody is signalled whom nobody asked to. */
export function kills({ stamps, history, hosts, log, layout }: Evidence): Violation[] {
  const asked = new Set(
    log.changes.flatMap(({ change }) =>
      change.type === 'put' && change.entry.key.startsWith(layout.kills)
        ? [change.entry.key.slice(layout.kills.length)]
        : [],
    ),
  );
  return stamps.flatMap((stamp) => {
    const found: Violation[] = [];
    const confirmed = history.records.get(stamp.run)?.kill?.confirmedAt ?? null;
    if (confirmed !== null && stamp.end === null)
      found.push({ property: 'P8', at: stamp.start, what: `${stamp.run} lives, and its kill is confirmed` });
    if (stamp.signalled === 'killed' && !asked.has(stamp.run))
      found.push({ property: 'P8', at: stamp.start, what: `${stamp.run} was killed, and nobody had asked` });
    if (stamp.signalled === 'timed_out' && stamp.plan.job.timeout === null)
      found.push({ property: 'P8', at: stamp.start, what: `${stamp.run} was timed out, and has no timeout` });
    if (stamp.endedBy === 'signal' && stamp.signalled === null)
      found.push({
        property: 'P8',
        at: stamp.start,
        what: `${stamp.run} was ended by a signal for no reason`,
      });
    return hosts.length > 0 ? found : [];
  });
}

/** What was lost of an at-least-once job is tried again. */
export function completes({ history, log, layout, endAt }: Evidence): Violation[] {
  const asked = new Set(
    [...log.changes].map(({ change }) => (change.type === 'put' ? change.entry.key : '')),
  );
  const found: Violation[] = [];
  for (const run of history.records.values()) {
    if (run.state !== 'lost' || asked.has(layout.kill(run.id)) || (run.endedAt ?? 0) > epoch + endAt - 60_000)
      continue;
    const { group, name, ...parts } = parseRunId(run.id);
    const job = log.present.get(layout.job(jobId(group, name)));
    const read = job === undefined ? null : decode(JobValue, job);
    if (!read?.ok || read.value.job.guarantee !== 'at-least-once') continue;
    if (versions(log, layout.job(jobId(group, name))) > 1) continue;
    const rest = parts.worker === null ? '' : `~${parts.worker}`;
    const next = `${group}~${name}~${parts.cause}~${parts.attempt + 1}${rest}`;
    if (!history.records.has(next) && ![...log.present.keys()].some((key) => key.endsWith(`/${next}`)))
      found.push({ property: 'P7', at: endAt, what: `${run.id} was lost, and no attempt followed` });
  }
  return found;
}

export function versions(log: SimLog, key: string): number {
  return log.of(key).length;
}

/** At the end nothing is left over: no key of a run without its process, no process of an ended run, nothing owed. */
export function leftovers(evidence: Evidence): Violation[] {
  const { log, layout, hosts, history, stamps, scenario, endAt } = evidence;
  const found: Violation[] = [];
  const wrong = (property: string, what: string) => found.push({ property, at: endAt, what });
  const alive = new Map(
    hosts.flatMap((host) => [...host.processes].map(([run, process]) => [run, process] as const)),
  );
  for (const entry of log.present.values()) {
    if (entry.key.startsWith(layout.running)) {
      const run = entry.key.slice(entry.key.lastIndexOf('/') + 1);
      const value = runningOf(entry);
      const wall = endAt + epoch + (hosts[0]?.wallOffset ?? 0);
      // What more is asked of a worker than it can take waits for its turn, and what nobody may run for somebody.
      const { group, name } = parseRunId(run);
      const job = log.present.get(layout.job(jobId(group, name)));
      const read = job === undefined ? null : decode(JobValue, job);
      const nobodys = read?.ok === true && eligible(read.value.job, evidence).length === 0;
      const queues = value?.state === 'waiting' && (isOverworked(scenario) || nobodys);
      const old = value !== null && !queues && wall - Math.max(value.at, value.notBefore) > 60_000;
      if (old && alive.get(run)?.state !== 'running')
        wrong('P11', `${run} has a ${value.state} key of ${value.worker}, and no process`);
    }
    if (entry.key.startsWith(layout.owed)) {
      const age =
        endAt -
        (log.changes.findLast(({ change }) => change.type === 'put' && change.entry === entry)?.at ?? 0);
      // Ages go by the wall clock of who wrote: set back meanwhile, they stand still for that long.
      if (age > 70_000 && !scenario.faults.some(({ kind }) => kind === 'step'))
        wrong('P2', `${entry.key} is still owed`);
    }
  }
  for (const [run, process] of alive) {
    const record = history.records.get(run);
    if (
      process.state === 'running' &&
      record !== undefined &&
      isTerminal(record.state) &&
      record.state !== 'lost'
    )
      wrong('P11', `${run} is ${record.state}, and its process lives`);
  }
  const ended = new Set(
    stamps.filter(({ end }) => end !== null && end < endAt - 60_000).map(({ run }) => run),
  );
  for (const host of hosts) {
    for (const [run, { plan, claimed }] of host.files) {
      // Armed, and never let go: of that nothing is left either.
      const past = claimed === null && (plan.instant ?? Infinity) < host.now() - 60_000;
      if (ended.has(run) || (past && !host.processes.has(run)))
        wrong('P11', `the directory of ${run} was not forgotten`);
    }
    // What comes while a slow History takes in what came before it.
    if (host.spool.length > (scenario.historyMs > 1_000 ? 1_000 : 50))
      wrong('P9', `${host.spool.length} records are still in the spool of ${host.id}`);
  }
  return found;
}

/** A drained worker claims nothing. */
export function drained({ log, layout }: Evidence): Violation[] {
  const drains = new Set<string>();
  const found: Violation[] = [];
  for (const { change, before, at } of log.changes) {
    const key = change.type === 'put' ? change.entry.key : change.key;
    if (key.startsWith(layout.drains)) {
      const id = key.slice(layout.drains.length);
      if (change.type === 'put') drains.add(id);
      else drains.delete(id);
    }
    if (change.type !== 'put' || !key.startsWith(layout.running)) continue;
    const value = runningOf(change.entry);
    const was = before === null ? null : runningOf(before);
    if (value?.state === 'claimed' && was?.state !== 'claimed' && drains.has(value.worker))
      found.push({ property: 'P13', at, what: `${key} was claimed by ${value.worker}, which is drained` });
  }
  return found;
}

/** Nobody closes the run of a worker that is there: neither of one that never went, nor of one that is back. */
export function closings({ log, layout }: Evidence): Violation[] {
  return log.changes.flatMap(({ change, before, at }) => {
    if (change.type !== 'delete' || before === null || !change.key.startsWith(layout.running)) return [];
    const value = runningOf(before);
    const run = change.key.slice(change.key.lastIndexOf('/') + 1);
    const owed = log.of(layout.owing(run)).find((one) => modOf(one.change) === change.mod)?.change;
    const read = owed?.type === 'put' ? decode(OwedValue, owed.entry) : null;
    if (value === null || !read?.ok || read.value.by === value.worker) return [];
    const standing = log.before(layout.worker(value.worker), change.mod);
    return standing === null
      ? []
      : [
          {
            property: 'P12',
            at,
            what: `${run} was closed by ${read.value.by}, and its worker ${value.worker} was there`,
          },
        ];
  });
}

/** After the faults have ended every worker sees what the store holds. */
export function views({ views: seen }: Evidence): Violation[] {
  return seen.flatMap(({ worker, at, differs }) =>
    differs.map(({ key, seen: mine, stands }) => ({
      property: 'P10',
      at,
      what: `${worker} sees ${key} at ${mine}, and it stands at ${stands}`,
    })),
  );
}
