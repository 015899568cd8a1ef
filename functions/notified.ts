import { listChannels } from '#core/cluster/channels.ts';
import { mistake, mistakesRefusal } from '#core/cluster/check-job.ts';
import type { Job } from '#core/model/job.ts';
import type { AppDeps } from './deps.ts';

/** Refusal `job_invalid` where a job would have a channel told that is not there: nobody would ever hear of it. `at`: before each path. */
export async function checkNotified(
  { kv, layout }: Pick<AppDeps, 'kv' | 'layout'>,
  jobs: readonly Job[],
  at: (job: number) => string = () => '',
): Promise<void> {
  const named = jobs.flatMap(({ notify }, n) =>
    notify.flatMap(({ to }, rule) =>
      to.map((channel, i) => ({ channel, path: `${at(n)}notify.${rule}.to.${i}` })),
    ),
  );
  if (named.length === 0) return;
  const known = (await listChannels(kv, layout)).map(({ name }) => name);
  const wrong = named.filter(({ channel }) => !known.includes(channel));
  const expected = `the name of a channel: ${known.length === 0 ? 'there is none yet' : known.join(', ')}`;
  if (wrong.length > 0)
    throw mistakesRefusal(
      'job_invalid',
      wrong.map(({ channel, path }) => mistake(path, channel, expected)),
    );
}
