import type { RunId } from '#core/model/ids.ts';
import type { Runner } from './runner.ts';

/**
 * The same runner, in which arming and un-arming of one run happen in the order in which they were asked for. A lane may leave its
 * gate while that is still arming, and start by itself: without an order the gate's late un-arming would hit the start.
 */
export function inOrder(runner: Runner): Runner {
  const last = new Map<RunId, Promise<unknown>>();

  function after<T>(run: RunId, also: Promise<unknown> | undefined, act: () => Promise<T>): Promise<T> {
    const waits = [last.get(run), also].filter((one) => one !== undefined);
    const done = waits.length === 0 ? act() : Promise.allSettled(waits).then(act);
    last.set(run, done);
    const forget = () => {
      if (last.get(run) === done) last.delete(run);
    };
    done.then(forget, forget);
    return done;
  }

  return {
    ...runner,
    async arm(plans) {
      const results: Awaited<ReturnType<Runner['arm']>> = new Map();
      const steps: Promise<void>[] = [];
      for (const plan of plans)
        steps.push(
          after(plan.run, steps.at(-1), async () => {
            for (const [run, refused] of await runner.arm([plan])) results.set(run, refused);
          }),
        );
      await Promise.all(steps);
      return results;
    },
    disarm: (run) => after(run, undefined, () => runner.disarm(run)),
  };
}
