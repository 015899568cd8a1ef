import * as v from 'valibot';
import type { Piece } from '#core/cluster/batch.ts';
import { claimInstant, decideWithout, readLane } from '#core/cluster/claim.ts';
import { adopt, closeDead, finish } from '#core/cluster/finish.ts';
import type { JobStore } from '#core/cluster/job-record.ts';
import { deleteJob, saveJob } from '#core/cluster/jobs.ts';
import { layout as layoutOf, oneLane } from '#core/cluster/keys.ts';
import { askKill } from '#core/cluster/kills.ts';
import { CursorValue, decode, encodeJob, JobValue, OwedValue, RunningValue } from '#core/cluster/records.ts';
import { stillMe, stillRegistered } from '#core/cluster/registration.ts';
import { decideLane, type Instants, uncovered } from '#core/decide/due.ts';
import { barredBy } from '#core/decide/may-start.ts';
import { instantText, type RunId } from '#core/model/ids.ts';
import { Job, type JobRecord } from '#core/model/job.ts';
import { blankRun, type RunState } from '#core/model/run.ts';
import type { Compare, Entry, Kv, Op, Txn, TxnResult } from '#core/ports/kv.ts';
import { evaluate, readRange } from '#core/stores/kv/embedded/evaluate.ts';
import { KvState } from '#core/stores/kv/embedded/kv-state.ts';
import type { Step } from './explore.ts';
import type { HeldRun, Process, Request, State, Worker } from './state.ts';

/** A remedy that is taken out, to see that its breach is found. */
export type Without =
  | 'cursor compare'
  | 'deadline'
  | 'owner compare'
  | 'open intents'
  | 'cursor left alone'
  | 'incarnation at release'
  | 'key without a lease'
  | 'settling'
  | 'cursor compare of a save';

const layout = layoutOf();
const job = 'default/j';
const ids = ['w0', 'w1'] as const;
const instants = [10_000, 20_000];
/** Before the first instant, in the lead of each, at each. */
const times = [5_000, 9_900, 10_000, 19_900, 20_000];

const schedule: Instants = {
  next: (after) => instants.find((at) => at > after) ?? null,
  prev: (before) => instants.findLast((at) => at < before) ?? null,
  count: (from, to) => instants.filter((at) => at > from && at <= to).length,
};

const spec: Job = v.parse(Job, { name: 'j', schedule: '*/10 * * * * *', command: 'true' });
const floorAt = 1_000;

/** Two workers, one job, two instants, and so much trouble of each kind. */
export function initial(budget: Record<string, number>): State {
  const store = new KvState();
  const record: JobRecord = {
    ...{
      job: spec,
      revision: 'r',
      floor: floorAt,
      floorWhy: 'created',
      paused: null,
      skips: [],
      cronExpr: null,
    },
    ...{ createdAt: floorAt, updatedAt: floorAt, updatedBy: 'setup' },
  };
  const put = (key: string, value: string) =>
    evaluate(store, { compare: [], then: [{ type: 'put', key, value }] });
  const { revision: mod } = put(layout.job(job), encodeJob(record));
  const registered = ids.map((id) => put(layout.worker(id), '{}').revision);
  const worker = (at: 0 | 1): Worker => ({
    ...{ up: true, incarnation: registered[at] ?? '0', lapsed: false, adopted: true, job: { record, mod } },
    ...{ other: registered[1 - at] ?? null, lane: null, out: null, intent: null, runs: {}, waits: null },
  });
  const blank: State = {
    ...{
      phase: 0,
      revision: 1,
      entries: [],
      workers: [worker(0), worker(1)],
      processes: {},
      starts: {},
      records: {},
    },
    ...{ late: [], acts: [], deletedAt: null, budget },
  };
  return keep(blank, store);
}

/** A store that reads as the state is, and hands over what would be written. */
function reading(state: State, write: (txn: Txn) => void): Kv {
  const store = open(state);
  const never = () => Promise.reject(new Error('the API reads and writes, and does nothing else'));
  return {
    range: async (range, options = {}) => ({ ...readRange(store, range, options), revision: store.revision }),
    async txn(txn) {
      write(txn);
      return { succeeded: true, revision: store.revision, results: [] };
    },
    ...{ grant: never, renew: never, revoke: never, follow: never, compact: never, close: never },
  };
}

function open(state: State): KvState {
  const store = new KvState();
  store.restore({ revision: state.revision, lastLease: 0, entries: state.entries, leases: [] });
  return store;
}

function keep(state: State, store: KvState): State {
  const { entries } = store.read({ key: '/', end: '0' });
  return { ...state, revision: Number(store.revision), entries };
}

function entryOf(state: State, key: string): Entry | null {
  return state.entries.find((entry) => entry.key === key) ?? null;
}

function runOf(instant: number): RunId {
  return `default~j~${instantText(instant)}~1`;
}

const keyOf = (run: RunId) => layout.run(job, oneLane, run);
const cursorKey = layout.cursor(job, oneLane);
const jobKey = layout.job(job);

/** Every step that may be taken in a state, on the protocol's own transactions. */
export function fleetModel(without: Without | null) {
  /** Applies a request to the store, and says what it broke. */
  function applied(state: State, txn: Txn): { to: State; answer: TxnResult; breach: string | null } {
    const store = open(state);
    const before = entryOf(state, cursorKey);
    const answer = evaluate(store, without === null ? txn : tampered(txn));
    const to = keep(state, store);
    const after = entryOf(to, cursorKey);
    const at = (entry: Entry | null) => {
      const read = entry === null ? null : decode(CursorValue, entry);
      return read?.ok ? read.value.instant : 0;
    };
    const records = { ...to.records };
    let breach = at(after) < at(before) ? 'P1: the cursor went back' : null;
    for (const entry of to.entries) {
      const read = entry.key.startsWith(layout.owed) ? decode(OwedValue, entry) : null;
      if (!read?.ok) continue;
      const { id, state: ended, instant: first, until } = read.value.run;
      // A stretch is one record of each of its instants.
      for (const at of instants)
        if (first !== null && at > first && at <= (until ?? first)) records[runOf(at)] ??= ended as RunState;
      if (records[id] !== undefined) continue;
      records[id] = ended as RunState;
      const closed = state.entries.find(({ key }) => key === keyOf(id));
      const owner = closed === undefined ? null : decode(RunningValue, closed);
      if (
        ended === 'lost' &&
        owner?.ok &&
        read.value.by !== owner.value.worker &&
        entryOf(state, layout.worker(owner.value.worker))
      )
        breach = `P12: ${id} was closed, and its worker was there`;
    }
    // What is owed has reached History at once: that is not what this model is about.
    const kept = to.entries.filter(({ key }) => !key.startsWith(layout.owed));
    return { to: { ...to, records, entries: kept }, answer, breach };
  }

  /** The same request with the remedy taken out of what is nested in it. */
  function tampered(txn: Txn): Txn {
    const drops = (compare: Compare) =>
      (without === 'cursor compare' && compare.key === cursorKey) ||
      (without === 'owner compare' && compare.key.startsWith(layout.workers));
    return {
      ...txn,
      then: txn.then.map((op) =>
        op.type === 'txn'
          ? { ...op, txn: { ...op.txn, compare: op.txn.compare.filter((one) => !drops(one)) } }
          : op,
      ),
    };
  }

  const withWorker = (state: State, at: 0 | 1, change: Partial<Worker>): State => {
    const workers: State['workers'] = [...state.workers];
    workers[at] = { ...workers[at], ...change };
    return { ...state, workers };
  };
  const spend = (state: State, what: string): State => ({
    ...state,
    budget: { ...state.budget, [what]: (state.budget[what] ?? 0) - 1 },
  });
  const has = (state: State, what: string) => (state.budget[what] ?? 0) > 0;
  const now = (state: State) => times[state.phase] ?? 0;

  function request(
    state: State,
    at: 0 | 1,
    kind: Request['kind'],
    { run, instant }: { run: RunId; instant: number },
    piece: Piece,
  ): State {
    const { incarnation } = state.workers[at];
    const outer =
      kind === 'finish'
        ? []
        : kind === 'claim' || kind === 'decide'
          ? stillMe(layout, ids[at], incarnation ?? '0')
          : stillRegistered(layout, ids[at], incarnation ?? '0');
    const txn: Txn = { compare: outer, then: [{ type: 'txn', txn: piece.txn }] };
    return withWorker(state, at, { out: { kind, run, instant, txn, doubt: false } });
  }

  /** The lease is good, everything is adopted, and nothing is under way. */
  function mayAct({ up, incarnation, lapsed, adopted, out }: Worker): boolean {
    return up && incarnation !== null && !lapsed && adopted && out === null;
  }

  function decide(state: State, at: 0 | 1): Step[] {
    const worker = state.workers[at];
    if (worker.job === null) return [];
    if (worker.lane === null) return [{ name: `w${at} reads the lane`, to: look(state, at), breach: null }];
    const lead = state.phase % 2 === 1 && at === 0;
    const time = lead ? now(state) + 100 : now(state);
    const view = { record: worker.job.record, schedule, cursor: worker.lane.instant, now: time, held: null };
    const verdict = decideLane(view);
    const basis = { job, lane: oneLane, cursorMod: worker.lane.mod, jobMod: worker.job.mod };
    if (verdict.do === 'decide') {
      const cursor = { instant: verdict.cursor, from: ids[at], why: 'decide', run: null };
      const owed = verdict.records.flatMap(recordsOf);
      const piece = decideWithout(layout, basis, { cursor, owed, at: 0, becauseAlive: false });
      const of = { run: runOf(verdict.cursor), instant: verdict.cursor };
      return [{ name: `w${at} decides`, to: request(state, at, 'decide', of, piece), breach: null }];
    }
    if (verdict.do !== 'run' || worker.waits === state.phase) return [];
    const { instant } = verdict;
    const run = runOf(instant);
    const running: RunningValue = {
      ...{
        worker: ids[at],
        incarnation: worker.incarnation ?? '0',
        state: 'claimed',
        instant,
        attempt: 1,
        losses: 0,
      },
      ...{ covers: null, notBefore: instant, at: 0, trigger: 'schedule', order: null, by: null, env: {} },
    };
    const owed = verdict.records.flatMap(recordsOf);
    const cursor = { instant, from: ids[at], why: 'run', run };
    const piece = claimInstant(layout, basis, { run, overlaps: false, cursor, running, owed });
    return [
      {
        name: `w${at} claims ${instant}`,
        to: request(state, at, 'claim', { run, instant }, piece),
        breach: null,
      },
    ];
  }

  /** One for each instant of a stretch, so that every one can be looked for. */
  function recordsOf({ instant, until, state }: { instant: number; until: number; state: RunState }) {
    return instants.filter((at) => at >= instant && at <= until).map((at) => recordOf(at, state));
  }

  function recordOf(instant: number, state: RunState) {
    return blankRun({ id: runOf(instant), group: 'default', name: 'j', state, instant });
  }

  function look(state: State, at: 0 | 1): State {
    const cursor = entryOf(state, cursorKey);
    const read = cursor === null ? null : decode(CursorValue, cursor);
    return withWorker(state, at, {
      lane: { instant: read?.ok ? read.value.instant : null, mod: cursor?.mod ?? '0' },
    });
  }

  /** What a worker makes of an answer. */
  function answered(state: State, at: 0 | 1, out: Request, answer: TxnResult): State {
    const worker = state.workers[at];
    const done = withWorker(state, at, { out: null });
    const [nested] = answer.results;
    const judged = answer.succeeded && nested?.type === 'txn' ? nested : null;
    const hold = (held: HeldRun): State =>
      withWorker(done, at, { lane: null, runs: { ...worker.runs, [out.run]: held } });
    const incarnation = worker.incarnation ?? '0';
    switch (out.kind) {
      case 'claim': {
        if (judged?.succeeded) {
          const { revision } = answer;
          return hold({
            mod: revision,
            fence: revision,
            incarnation,
            instant: out.instant,
            phase: 'claimed',
          });
        }
        const seen = judged === null ? { cursor: null, running: [] } : readLane(judged.results);
        const own = seen.running.find(({ key }) => key === keyOf(out.run));
        const read = own === undefined ? null : decode(RunningValue, own);
        if (
          own !== undefined &&
          read?.ok &&
          read.value.worker === ids[at] &&
          read.value.incarnation === incarnation
        )
          return hold({
            mod: own.mod,
            fence: own.create,
            incarnation,
            instant: out.instant,
            phase: 'claimed',
          });
        const lane = worker.lane?.mod ?? '0';
        const intent =
          out.doubt && without !== 'open intents'
            ? { run: out.run, cursorMod: lane, jobMod: worker.job?.mod ?? '0' }
            : worker.intent;
        const back = withWorker(done, at, { lane: null, intent });
        const overlap = judged !== null && seen.running.length > 0 && (seen.cursor?.mod ?? '0') === lane;
        if (!overlap || worker.job === null) return back;
        if (now(state) < out.instant) return withWorker(back, at, { waits: state.phase });
        const view = {
          ...{
            record: worker.job.record,
            schedule,
            cursor: worker.lane?.instant ?? null,
            now: now(state),
            held: null,
          },
        };
        const verdict = decideLane(view);
        if (verdict.do !== 'run') return back;
        const owed = [...uncovered(verdict), { instant: out.instant, state: 'skipped' as const }].map((one) =>
          recordOf(one.instant, one.state),
        );
        const basis = { job, lane: oneLane, cursorMod: lane, jobMod: worker.job.mod };
        const cursor = { instant: out.instant, from: ids[at], why: 'overlap', run: null };
        return request(
          back,
          at,
          'decide',
          out,
          decideWithout(layout, basis, { cursor, owed, at: 0, becauseAlive: true }),
        );
      }
      case 'decide':
        return withWorker(done, at, { lane: null });
      case 'adopt': {
        const entry = entryOf(state, keyOf(out.run));
        const known = worker.runs[out.run];
        if (!judged?.succeeded || entry === null) return done;
        const process = state.processes[out.run];
        // A wrapper that has not started yet is barred when its agent comes back; one that runs is watched.
        const ran =
          process !== undefined &&
          process.worker === at &&
          process.state !== 'woken' &&
          process.state !== 'refused';
        const phase = known?.phase ?? (ran ? 'released' : 'claimed');
        const held: HeldRun = {
          mod: entry.mod,
          fence: entry.create,
          incarnation,
          instant: out.instant,
          phase,
        };
        return hold(held);
      }
      case 'finish': {
        const { [out.run]: _, ...runs } = worker.runs;
        return withWorker(done, at, { runs, lane: null });
      }
      case 'close':
        return done;
    }
  }

  /** What may become of a request that is under way. */
  function sent(state: State, at: 0 | 1): Step[] {
    const { out } = state.workers[at];
    if (out === null) return [];
    const { to, answer, breach } = applied(state, out.txn);
    const steps: Step[] = [
      { name: `w${at}'s ${out.kind} is answered`, to: answered(to, at, out, answer), breach },
    ];
    const doubtful = { out: { ...out, doubt: true } };
    if (has(state, 'lost reply'))
      steps.push({
        name: `the answer to w${at}'s ${out.kind} is lost`,
        to: withWorker(spend(to, 'lost reply'), at, doubtful),
        breach,
      });
    if (has(state, 'late'))
      steps.push({
        name: `w${at}'s ${out.kind} is late`,
        to: withWorker({ ...spend(state, 'late'), late: [...state.late, out.txn] }, at, doubtful),
        breach: null,
      });
    return steps;
  }

  function release(state: State, at: 0 | 1): Step[] {
    const worker = state.workers[at];
    const sure = worker.up && worker.incarnation !== null && worker.adopted && !worker.lapsed;
    return Object.entries(worker.runs).flatMap(([run, held]): Step[] => {
      const own = held.incarnation === worker.incarnation || without === 'incarnation at release';
      const process = state.processes[run];
      if (held.phase === 'released' && process?.state === 'refused') {
        const { [run]: _, ...processes } = state.processes;
        const again = withWorker(state, at, {
          runs: { ...worker.runs, [run]: { ...held, phase: 'claimed' } },
        });
        return [
          { name: `w${at} sees that ${run} has not started`, to: { ...again, processes }, breach: null },
        ];
      }
      if (held.phase !== 'claimed' || !sure || !own || now(state) < held.instant) return [];
      const barred = barredBy(worker.job?.record ?? null, now(state), {
        trigger: 'schedule',
        instant: held.instant,
      });
      if (barred !== null) {
        if (worker.out !== null) return [];
        return [
          { name: `w${at} starts ${run} no more`, to: end(state, at, run, held, 'skipped'), breach: null },
        ];
      }
      const released = withWorker(state, at, {
        runs: { ...worker.runs, [run]: { ...held, phase: 'released' } },
      });
      const woken: Process = { worker: at, state: 'woken', lapsed: false, fence: held.fence };
      return [
        {
          name: `w${at} lets ${run} go`,
          to: { ...released, processes: { ...state.processes, [run]: woken } },
          breach: null,
        },
      ];
    });
  }

  function end(state: State, at: 0 | 1, run: RunId, held: HeldRun, ended: RunState): State {
    const { instant, mod } = held;
    const worker = state.workers[at];
    const records = { ...state.records, [run]: state.records[run] ?? ended };
    const marked = withWorker({ ...state, records }, at, {
      runs: { ...worker.runs, [run]: { ...held, phase: 'ended' } },
    });
    const piece = finish(
      layout,
      { job, lane: oneLane, run, mod },
      { next: null, owed: null, at: 0, by: ids[at] },
    );
    return request(marked, at, 'finish', { run, instant }, piece);
  }

  function processes(state: State): Step[] {
    return Object.entries(state.processes).flatMap(([run, process]): Step[] => {
      const to = (change: Partial<Process>): State => ({
        ...state,
        processes: { ...state.processes, [run]: { ...process, ...change } },
      });
      const worker = state.workers[process.worker as 0 | 1];
      const held = worker.runs[run];
      if (process.state === 'woken') {
        if (process.lapsed && without !== 'deadline')
          return [{ name: `the wrapper of ${run} is too late`, to: to({ state: 'refused' }), breach: null }];
        const starts = { ...state.starts, [run]: (state.starts[run] ?? 0) + 1 };
        const others = Object.entries(state.processes).filter(
          ([id, one]) => id !== run && one.state === 'running',
        );
        const breach =
          (starts[run] ?? 0) > 1
            ? `P1: ${run} started a second time`
            : entryOf(state, keyOf(run))?.create !== process.fence
              ? `P1: ${run} started after it had been closed`
              : others.some(([id]) => state.records[id] !== 'lost')
                ? `P6: ${run} started while another was running`
                : null;
        return [{ name: `${run} starts`, to: { ...to({ state: 'running' }), starts }, breach }];
      }
      if (process.state === 'running')
        return [{ name: `${run} ends`, to: to({ state: 'exited' }), breach: null }];
      if (process.state === 'exited' && worker.up && worker.out === null && held?.phase === 'released')
        return [
          {
            name: `w${process.worker} finishes ${run}`,
            to: end(state, process.worker as 0 | 1, run, held, 'succeeded'),
            breach: null,
          },
        ];
      return [];
    });
  }

  /** Registration, its loss, and what follows it. */
  function presence(state: State, at: 0 | 1): Step[] {
    const worker = state.workers[at];
    const steps: Step[] = [];
    const key = layout.worker(ids[at]);
    const standing = entryOf(state, key);
    const step = (name: string, to: State, breach: string | null = null) =>
      steps.push({ name: `w${at} ${name}`, to, breach });
    const ownProcesses = (change: (process: Process) => Process): State['processes'] =>
      Object.fromEntries(
        Object.entries(state.processes).map(([run, one]) => [run, one.worker === at ? change(one) : one]),
      );
    if (has(state, 'lapse') && !worker.lapsed && standing !== null) {
      const processes = ownProcesses((one) => ({ ...one, lapsed: true }));
      step(
        'cannot renew its lease',
        withWorker({ ...spend(state, 'lapse'), processes }, at, { lapsed: true }),
      );
    }
    if (standing !== null && worker.lapsed) {
      const gone = applied(state, { compare: [], then: [{ type: 'delete', key }, ...leased(state, at)] });
      // By then every deadline under that lease has passed on its own host as well.
      const late = ownProcesses((one) => ({ ...one, lapsed: true }));
      step('is given up by the store', { ...gone.to, processes: late }, gone.breach);
    }
    if (worker.up && worker.lapsed && standing !== null && standing.create === worker.incarnation)
      step('renews again', withWorker(state, at, { lapsed: false }));
    if (worker.up && worker.out === null && (worker.incarnation === null || standing === null)) {
      // An earlier life's registration is taken down first.
      const free = applied(state, { compare: [], then: [{ type: 'delete', key }] }).to;
      const anew = applied(free, {
        compare: [{ key, target: 'create', op: '=', revision: '0' }],
        then: [{ type: 'put', key, value: '{}' }],
      });
      const change = {
        incarnation: anew.answer.revision,
        lapsed: false,
        adopted: false,
        lane: null,
        intent: null,
      };
      step('registers', withWorker(anew.to, at, change));
    }
    if (worker.up && worker.incarnation !== null && !worker.adopted && worker.out === null)
      adoptNext(state, at, step);
    if (has(state, 'crash') && worker.up) {
      const fresh = { incarnation: null, lane: null, out: null, intent: null, runs: {}, waits: null };
      const down = withWorker(spend(state, 'crash'), at, {
        ...fresh,
        up: false,
        adopted: false,
        lapsed: true,
      });
      // Only the deadline counts for what was let go already; it comes by itself.
      step('crashes', down);
      if (worker.out !== null)
        step('crashes, its request under way', { ...down, late: [...down.late, worker.out.txn] });
    }
    if (!worker.up) {
      const processes = ownProcesses((one) => (one.state === 'woken' ? { ...one, state: 'refused' } : one));
      const heard = hear({ ...state, processes }, at);
      step('starts again', withWorker(heard, at, { up: true, lapsed: false }));
      if (
        Object.values(state.processes).some(
          (one) => one.worker === at && one.state === 'woken' && !one.lapsed,
        )
      )
        step('has been down for its lease', {
          ...state,
          processes: ownProcesses((one) => ({ ...one, lapsed: true })),
        });
    }
    return steps;
  }

  function leased(state: State, at: 0 | 1): Txn['then'] {
    if (without !== 'key without a lease') return [];
    return state.entries.flatMap((entry) => {
      const read = entry.key.startsWith(layout.running) ? decode(RunningValue, entry) : null;
      return read?.ok && read.value.worker === ids[at] ? [{ type: 'delete' as const, key: entry.key }] : [];
    });
  }

  function adoptNext(state: State, at: 0 | 1, step: (name: string, to: State) => void): void {
    const worker = state.workers[at];
    const mine = state.entries.flatMap((entry) => {
      const read = entry.key.startsWith(layout.running) ? decode(RunningValue, entry) : null;
      return read?.ok && read.value.worker === ids[at] ? [{ entry, value: read.value }] : [];
    });
    const next = mine.find(({ value }) => value.incarnation !== worker.incarnation);
    if (next !== undefined) {
      const run = next.entry.key.slice(next.entry.key.lastIndexOf('/') + 1);
      const running = { ...next.value, incarnation: worker.incarnation ?? '0' };
      const piece = adopt(layout, { job, lane: oneLane, run, mod: next.entry.mod }, running);
      const of = { run, instant: next.value.instant ?? 0 };
      step(`adopts ${run}`, request(state, at, 'adopt', of, piece));
      return;
    }
    // What was claimed and has no key any more was closed: it is not started.
    const runs = Object.fromEntries(
      Object.entries(worker.runs).filter(
        ([run, { phase }]) => phase !== 'claimed' || entryOf(state, keyOf(run)) !== null,
      ),
    );
    step('has adopted all', withWorker(state, at, { adopted: true, runs }));
  }

  function hear(state: State, at: 0 | 1): State {
    const entry = entryOf(state, layout.job(job));
    const read = entry === null ? null : decode(JobValue, entry);
    const other = entryOf(state, layout.worker(ids[1 - at] ?? ''));
    return withWorker(state, at, {
      job: entry !== null && read?.ok ? { record: read.value, mod: entry.mod } : null,
      other: other?.create ?? null,
    });
  }

  /** Its mirror follows; what it decides by, it looks at anew. */
  function catchUp(state: State, at: 0 | 1): Step[] {
    const worker = state.workers[at];
    if (!worker.up) return [];
    const steps: Step[] = [];
    const heard = hear(state, at).workers[at];
    if (heard.job?.mod !== worker.job?.mod || heard.other !== worker.other)
      steps.push({ name: `w${at} hears`, to: hear(state, at), breach: null });
    const cursor = entryOf(state, cursorKey)?.mod ?? '0';
    if (worker.lane !== null && worker.lane.mod !== cursor && worker.out === null)
      steps.push({ name: `w${at} looks again`, to: withWorker(state, at, { lane: null }), breach: null });
    const { intent } = worker;
    if (intent !== null && worker.out === null && worker.adopted && worker.incarnation !== null) {
      const found = entryOf(state, keyOf(intent.run));
      const read = found === null ? null : decode(RunningValue, found);
      const jobMod = entryOf(state, layout.job(job))?.mod ?? '0';
      if (
        found !== null &&
        read?.ok &&
        read.value.worker === ids[at] &&
        worker.runs[intent.run] === undefined
      ) {
        const piece = adopt(
          layout,
          { job, lane: oneLane, run: intent.run, mod: found.mod },
          { ...read.value, incarnation: worker.incarnation },
        );
        const of = { run: intent.run, instant: read.value.instant ?? 0 };
        const to = request(withWorker(state, at, { intent: null }), at, 'adopt', of, piece);
        steps.push({ name: `w${at} finds its claim`, to, breach: null });
      } else if (cursor !== intent.cursorMod || jobMod !== intent.jobMod)
        steps.push({
          name: `w${at} gives its intent up`,
          to: withWorker(state, at, { intent: null }),
          breach: null,
        });
    }
    return steps;
  }

  /** Looks after what the other has left, once its mirror says that the other is gone. */
  function close(state: State, at: 0 | 1): Step[] {
    const worker = state.workers[at];
    if (worker.other !== null) return [];
    const owner = ids[1 - at] ?? '';
    return state.entries.flatMap((entry): Step[] => {
      const read = entry.key.startsWith(layout.running) ? decode(RunningValue, entry) : null;
      if (!read?.ok || read.value.worker !== owner) return [];
      const run = entry.key.slice(entry.key.lastIndexOf('/') + 1);
      const instant = read.value.instant ?? 0;
      const piece = closeDead(
        layout,
        { job, lane: oneLane, run, mod: entry.mod },
        {
          owner,
          incarnation: null,
          record: recordOf(instant, 'lost'),
          next: null,
          at: 0,
          by: ids[at],
        },
      );
      return [
        {
          name: `w${at} closes ${run}`,
          to: request(state, at, 'close', { run, instant }, piece),
          breach: null,
        },
      ];
    });
  }

  /** What happens to no worker in particular. */
  function world(state: State): Step[] {
    const steps: Step[] = [];
    if (state.phase < times.length - 1) {
      // Nobody holds a lane beyond the time for which it waits.
      const workers = state.workers.map((worker) => ({ ...worker, waits: null })) as State['workers'];
      steps.push({
        name: `it is ${times[state.phase + 1]}`,
        to: { ...state, phase: state.phase + 1, workers },
        breach: null,
      });
    }
    state.late.forEach((txn, i) => {
      const { to, breach } = applied(state, txn);
      steps.push({
        name: 'a late request arrives',
        to: { ...to, late: state.late.filter((_, k) => k !== i) },
        breach,
      });
    });
    state.acts.forEach(({ txn, at }, i) => {
      const { to, answer, breach } = applied(state, txn);
      const deletes = txn.then.some(
        ({ type, ...op }) => type === 'delete' && 'key' in op && op.key === jobKey,
      );
      const deletedAt = answer.succeeded && deletes ? at : state.deletedAt;
      steps.push({
        name: 'a save or delete comes through',
        to: { ...to, deletedAt, acts: state.acts.filter((_, k) => k !== i) },
        breach,
      });
    });
    return steps;
  }

  /** What somebody may ask of the API now. It is decided here, by the API's own code, and comes through whenever. */
  async function asked(state: State): Promise<Step[]> {
    const steps: Step[] = [];
    const prepare = async (what: string, act: (store: JobStore) => Promise<unknown>) => {
      const acts: State['acts'] = [];
      const at = now(state);
      await act({ kv: reading(state, (txn) => acts.push({ txn: left(txn), at })), layout, now: () => at });
      steps.push({
        name: `somebody asks: ${what}`,
        to: { ...spend(state, what), acts: [...state.acts, ...acts] },
        breach: null,
      });
    };
    const stands = entryOf(state, layout.job(job)) !== null;
    const how = { by: 'somebody', cronExpr: null };
    if (has(state, 'save') && stands)
      await prepare('save', (store) =>
        saveJob(store, { ...spec, schedule: '@every 10s' }, { ...how, condition: {} }),
      );
    if (has(state, 'delete') && stands) await prepare('delete', (store) => deleteJob(store, job, {}));
    if (has(state, 'create') && !stands)
      await prepare('create', (store) => saveJob(store, spec, { ...how, condition: { absent: true } }));
    const living = state.entries.find(({ key }) => key.startsWith(layout.running));
    if (has(state, 'kill') && living !== undefined) {
      const run = living.key.slice(living.key.lastIndexOf('/') + 1);
      await prepare('kill', (store) =>
        askKill(store, run, null, { by: 'somebody', signal: null, graceMs: null }),
      );
    }
    return steps;
  }

  /** With the mistake of setting the cursor, or of not settling what is due, where a test wants it. */
  function left(txn: Txn): Txn {
    if (without === 'settling')
      return { ...txn, then: txn.then.filter((op) => 'key' in op && op.key === jobKey) };
    if (without === 'cursor compare of a save')
      return { ...txn, compare: txn.compare.filter(({ key }) => key !== cursorKey) };
    if (without !== 'cursor left alone') return txn;
    const then = txn.then.flatMap((op): Op[] => {
      if (op.type === 'delete') return [op, { type: 'delete', key: cursorKey }];
      if (op.type !== 'put' || op.key !== jobKey) return [];
      const { floor } = JSON.parse(op.value) as { floor: number };
      const value = JSON.stringify({ instant: floor, from: 'api', why: 'save', run: null });
      return [op, { type: 'put', key: cursorKey, value }];
    });
    return { ...txn, then };
  }

  /** A worker carries a kill of its run out, and nothing of it is left then. */
  function kills(state: State, at: 0 | 1): Step[] {
    const worker = state.workers[at];
    if (!worker.up || worker.out !== null) return [];
    return Object.entries(worker.runs).flatMap(([run, held]): Step[] => {
      if (held.phase === 'ended' || entryOf(state, layout.kill(run)) === null) return [];
      const process = state.processes[run];
      const gone: State['processes'] =
        process === undefined
          ? state.processes
          : { ...state.processes, [run]: { ...process, state: 'exited' } };
      const to = end({ ...state, processes: gone }, at, run, held, 'killed');
      return [{ name: `w${at} kills ${run}`, to, breach: null }];
    });
  }

  return {
    async steps(state: State): Promise<Step[]> {
      const each = ([0, 1] as const).flatMap((at) => [
        ...(mayAct(state.workers[at]) ? [...decide(state, at), ...close(state, at)] : []),
        ...sent(state, at),
        ...release(state, at),
        ...kills(state, at),
        ...presence(state, at),
        ...catchUp(state, at),
      ]);
      return [...world(state), ...processes(state), ...each, ...(await asked(state))];
    },
    wrongAtEnd,
  };
}
/** When nothing more can happen, every instant is decided, everything has its record, and nothing is left over. */
function wrongAtEnd(state: State): string | null {
  const left = state.entries.find(({ key }) => key.startsWith(layout.running));
  if (left !== undefined) return `P11: ${left.key} is left, and nobody looks after it`;
  for (const run of Object.keys(state.starts)) {
    if (state.records[run] === undefined) return `P2: ${run} ran and has no record`;
    if (state.records[run] === 'skipped') return `P2: ${run} ran, and its record says that it did not`;
  }
  const entry = entryOf(state, jobKey);
  const read = entry === null ? null : decode(JobValue, entry);
  const { deletedAt } = state;
  // Of one that was there all the time every instant was due, whatever has been saved since; of one made anew those above its floor.
  const from = !read?.ok ? Number.POSITIVE_INFINITY : deletedAt === null ? floorAt : read.value.floor;
  for (const instant of instants)
    if (state.records[runOf(instant)] === undefined && (instant > from || instant <= (deletedAt ?? 0)))
      return `P2: ${instant} has no record`;
  return null;
}
