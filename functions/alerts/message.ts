import { createHash } from 'node:crypto';
import type { Alert } from '#core/model/alert.ts';

/** What a channel is told in one piece: one alert, or a digest of several. */
export interface Message {
  /** The same message again has the same id, and no other has it; each alert in it has its own. */
  id: string;
  subject: string;
  text: string;
  /** What a webhook gets, besides. */
  alerts: readonly ToldAlert[];
}

type ToldAlert = Pick<Alert, 'id' | 'kind' | 'job' | 'run' | 'worker' | 'title' | 'text'> & { at: string };

/** Of a digest, so many are told line by line. */
const mostLines = 50;
/** A webhook gets so many whole; more would not be taken everywhere. */
const mostAlerts = 200;

/** `alerts`: at least one, oldest first. */
export function messageOf(alerts: readonly Alert[]): Message {
  const told = alerts.slice(0, mostAlerts).map(({ id, kind, job, run, worker, title, text, at }) => ({
    ...{ id, kind, job, run, worker, title, text, at: new Date(at).toISOString() },
  }));
  const [first] = told;
  if (first === undefined) throw new Error('a message tells something');
  if (alerts.length === 1)
    return {
      id: first.id,
      subject: first.title,
      text: `${first.title}\n\n${first.text}`.trimEnd(),
      alerts: told,
    };
  const well = alerts.filter(({ kind }) => kind === 'recovered').length;
  const bad = alerts.length - well;
  const counts = [...(bad > 0 ? [`${bad} alerts`] : []), ...(well > 0 ? [`${well} well again`] : [])];
  const subject = `${counts.join(', ')}: ${first.title}, ...`;
  const lines = alerts.slice(0, mostLines).map(({ at, title }) => `${new Date(at).toISOString()} ${title}`);
  const rest = alerts.length - lines.length;
  if (rest > 0) lines.push(`and ${rest} more`);
  const hash = createHash('sha256')
    .update(alerts.map(({ id }) => id).join('\n'))
    .digest('hex');
  return {
    id: `digest~${alerts.length}~${hash.slice(0, 16)}`,
    subject,
    text: lines.join('\n'),
    alerts: told,
  };
}
