import { status } from '@grpc/grpc-js';
import { type Clock, sleep } from '#core/ports/clock.ts';
import {
  type Change,
  compareRevisions,
  type Entry,
  type FollowEvent,
  KvError,
  prefixRange,
  type Range,
  type Revision,
} from '#core/ports/kv.ts';
import { Audit, type Standing } from './audit.ts';
import { cut } from './fault.ts';
import type { Members } from './members.ts';
import { changeOf, type WatchAnswer } from './wire.ts';

/** How often a quiet stream is asked for a sign of life, and after how long without any word it is taken for dead. */
const askMs = 10_000;
const silenceMs = 30_000;
/** How often a follower is held against the store, about, and how long what is under way may take to come. */
const auditMs = 600_000;
const auditGraceMs = 5_000;
/** Between streams, doubled up to the second while they fail. */
const pauseMs = { first: 50, most: 2_000 };

interface FollowDeps {
  members: Members;
  clock: Clock;
  chance: () => number;
  list(range: Range): Promise<{ entries: Entry[]; revision: Revision }>;
  /** How the store stands, by its members' consent; with the newest change after `seen`. */
  standing(range: Range, seen: Revision): Promise<Standing>;
}

/**
 * Kv.follow on etcd: a list, then streams one after the other, each from the revision after the last that was delivered. Not
 * after the header's: that of `created` lies ahead of what a stream cut right then has delivered, and that of a progress
 * notice did before etcd 3.4.25 and 3.5.8. Lists again where what was missed is compacted, and where an audit finds a difference.
 */
export async function follow(
  deps: FollowDeps,
  prefix: string,
  stop: AbortSignal,
  see: (event: FollowEvent) => void,
): Promise<void> {
  const { clock, chance } = deps;
  const range = prefixRange(prefix);
  const audit = new Audit();
  let seen: Revision | null = null;
  let relist = () => {};
  let pause = pauseMs.first;
  let denials = 0;
  let thrown: { error: unknown } | null = null;
  const tell = (event: FollowEvent) => {
    seen = event.revision;
    audit.told(event);
    try {
      see(event);
    } catch (error) {
      thrown = { error };
      throw error;
    }
  };
  const endAudits = auditNowAndThen(deps, range, audit, () => {
    seen = null;
    relist();
  });
  try {
    while (!stop.aborted) {
      const began = clock.boot();
      try {
        if (seen === null) {
          const { entries, revision } = await deps.list(range);
          if (!stop.aborted) tell({ type: 'list', entries, revision });
          continue;
        }
        const end = await watch(deps, range, seen, stop, tell, (way) => {
          relist = way;
        });
        if (end === 'stopped') return;
        if (clock.boot() - began > askMs) {
          pause = pauseMs.first;
          denials = 0;
        }
        if (end === 'list again') seen = null;
        // A stream's token may have grown old unseen: a denial counts when it comes again under a new one.
        else if (end.denied && ++denials > 2) throw new KvError('forbidden', end.message);
      } catch (error) {
        if (thrown || !isPassing(error)) throw error;
      }
      await sleep(clock, pause * (0.5 + chance()), stop);
      pause = Math.min(2 * pause, pauseMs.most);
    }
  } finally {
    endAudits();
  }
}

/** Returns how to end it. `differs` is called where something was missed. */
function auditNowAndThen(
  { clock, chance, standing }: FollowDeps,
  range: Range,
  audit: Audit,
  differs: () => void,
): () => void {
  let ended = false;
  let cancel = () => {};
  const after = (ms: number, fn: () => void) => {
    if (!ended) cancel = clock.after(ms, fn);
  };
  const wait = () => after(auditMs * (0.5 + chance()), ask);
  const ask = () =>
    void standing(range, audit.seen).then(
      (asked) => {
        audit.ask(asked);
        after(auditGraceMs, () => {
          if (audit.differs()) differs();
          wait();
        });
      },
      // Away, or whatever else: an audit only looks, and the follower's own loop meets the same.
      wait,
    );
  wait();
  return () => {
    ended = true;
    cancel();
  };
}

/** What only means that the store is away, or slow, or that a list took longer than its revision was kept. */
function isPassing(error: unknown): boolean {
  return error instanceof KvError && ['unknown', 'unavailable', 'compacted'].includes(error.code);
}

type End = 'stopped' | 'list again' | { message: string; denied: boolean };

/** One stream, until it ends in whatever way. Rejects with what `tell` throws. `begun` is told how to end it for another list. */
async function watch(
  { members, clock, standing }: FollowDeps,
  range: Required<Range>,
  seen: Revision,
  stop: AbortSignal,
  tell: (event: FollowEvent) => void,
  begun: (relist: () => void) => void,
): Promise<End> {
  const { stream, failed, close } = await members.open('Watch', 'watch');
  let over = false;
  let cancelTimer = () => {};
  let onStop = () => {};
  try {
    return await new Promise<End>((resolve, reject) => {
      const relist = () => resolve('list again');
      begun(relist);
      const broken = (error: unknown) => {
        // Our own cancelling is an error to the stream, and no member's fault.
        if (over) return;
        const fault = failed(error);
        if (fault.kind === 'final') reject(fault.error);
        else resolve({ message: fault.message, denied: fault.kind === 'token' });
      };
      stream.on('error', broken);
      stream.on('end', () => broken(cut('the watch ended')));
      onStop = () => resolve('stopped');
      if (stop.aborted) return onStop();
      stop.addEventListener('abort', onStop, { once: true });

      let heard = clock.boot();
      const lookAgain = () => {
        cancelTimer = clock.after(askMs, () => {
          if (clock.boot() - heard >= silenceMs) return broken(cut(`silent for ${silenceMs / 1_000} s`));
          stream.write({ progress_request: {} });
          lookAgain();
        });
      };
      lookAgain();

      let part: Change[] = [];
      stream.on('data', (answer: WatchAnswer) => {
        heard = clock.boot();
        if (over) return;
        if (answer.created && compareRevisions(answer.header.revision, seen) < 0) {
          // Either this member lags, and will catch up; or the store was restored from a backup without its revision being bumped, and
          // what is written anew would be taken for old.
          standing(range, seen).then(({ revision }) => {
            if (compareRevisions(revision, seen) < 0) relist();
          }, reject);
        }
        if (answer.canceled) {
          if (answer.compact_revision !== '0') relist();
          else broken(canceled(answer.cancel_reason));
          return;
        }
        for (const event of answer.events) part.push(changeOf(event));
        // A large answer comes in parts, which may divide one revision: it is told whole or not at all.
        if (answer.fragment) return;
        const changes = part;
        part = [];
        try {
          for (const [revision, ofIt] of byRevision(changes))
            if (!stop.aborted) tell({ type: 'changes', changes: ofIt, revision });
        } catch (error) {
          reject(error);
        }
      });
      stream.write({
        create_request: {
          key: Buffer.from(range.key),
          range_end: Buffer.from(range.end),
          start_revision: String(BigInt(seen) + 1n),
          fragment: true,
        },
      });
    });
  } finally {
    over = true;
    cancelTimer();
    stop.removeEventListener('abort', onStop);
    close();
  }
}

/** As a call's error would say it, so that a denial has the next stream sign in anew: 3.4 tells an old token from no right by nothing. */
function canceled(reason: string): Error {
  const denied = /permission denied|auth token|user name is empty|auth store is old/i.test(reason);
  return denied
    ? cut('etcdserver: invalid auth token', status.UNAUTHENTICATED)
    : cut(`the watch was canceled: ${reason}`);
}

function byRevision(changes: readonly Change[]): Map<Revision, Change[]> {
  const revisions = new Map<Revision, Change[]>();
  for (const change of changes) {
    const mod = change.type === 'put' ? change.entry.mod : change.mod;
    const others = revisions.get(mod);
    if (others) others.push(change);
    else revisions.set(mod, [change]);
  }
  return revisions;
}
