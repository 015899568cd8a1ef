import assert from 'node:assert/strict';
import { compareRevisions, type FollowEvent, type Kv, type Revision } from '#core/ports/kv.ts';
import { within } from '#test/until.ts';

/** A follower that holds what it is told against what a follower may be told, and keeps the picture that results. */
export function viewOf(kv: Kv, prefix: string) {
  const stop = new AbortController();
  const keys = new Map<string, string>();
  let seen: Revision = '0';
  let lists = 0;
  let changes = 0;
  let look = () => {};
  let goneBack = false;
  const ended = kv.follow(prefix, stop.signal, (event: FollowEvent) => {
    if (event.type === 'list') {
      lists++;
      if (!goneBack)
        assert.ok(compareRevisions(event.revision, seen) >= 0, `${event.revision} after ${seen}`);
      keys.clear();
      for (const { key, value } of event.entries) keys.set(key, value);
    } else {
      assert.ok(compareRevisions(event.revision, seen) > 0, `${event.revision} was told after ${seen}`);
      for (const change of event.changes) {
        changes++;
        if (change.type === 'put') {
          assert.equal(change.entry.mod, event.revision);
          // Its version says how often it was put before: none of that may have been missed.
          assert.equal(change.entry.version > 1, keys.has(change.entry.key), change.entry.key);
          keys.set(change.entry.key, change.entry.value);
        } else assert.ok(keys.delete(change.key), `${change.key} was deleted and never there`);
      }
    }
    seen = event.revision;
    look();
  });
  /** Resolves when it holds; rejects when the follower ends before. */
  const until = (holds: () => boolean) => {
    const held = new Promise<void>((resolve) => {
      look = () => {
        if (holds()) resolve();
      };
      look();
    });
    const coming = Promise.race([ended.then(() => assert.fail('the follower has ended')), held]);
    const shown = () => ({ revision: seen, lists, changes, keys: [...keys.keys()] });
    return within(`a follower of ${prefix}, ${holds}`, coming, shown);
  };
  return {
    keys,
    ended,
    lists: () => lists,
    changes: () => changes,
    until,
    /** The same, where the store may have gone back to a backup meanwhile. */
    restored(holds: () => boolean) {
      goneBack = true;
      return until(holds);
    },
    async stop() {
      stop.abort();
      await ended;
    },
  };
}
