import { wallOf } from './calendar.ts';
import { changesOf } from './changes.ts';
import type { Cron } from './cron.ts';
import type { Field } from './field.ts';
import { day, valuesIn } from './phrases.ts';
import { goes, moves, skippedBy } from './preview.ts';
import type { Schedule } from './schedule.ts';
import { CORRECTION } from './zone.ts';

/** How far ahead clock changes are looked for: every yearly rule shows itself twice. */
const AHEAD = 400 * 86_400;

/** What may surprise a person about this schedule, each as a sentence; `fromMs` is now, for what lies ahead. */
export function warnings(schedule: Schedule, fromMs: number): string[] {
  const said = new Set<string>();
  for (const source of schedule.plan.sources)
    if (source.type === 'cron') {
      for (const text of aboutFields(source.cron)) said.add(text);
      for (const text of aboutClocks(schedule, source.cron, Math.max(0, Math.floor(fromMs / 1000))))
        said.add(text);
    }
  if (schedule.next(fromMs) === null) said.add('No instant is left: this schedule has ended.');
  return [...said];
}

function aboutFields(cron: Cron): string[] {
  const { second, minute, hour, day: date, month, weekday } = cron.fields;
  const said: string[] = [];
  const both = date.text !== '*' && weekday.text !== '*';
  if (both && !date.star && !weekday.star)
    said.push(
      `Day ${date.text} and weekday ${weekday.text} are both given: either one is enough (cron's rule).`,
    );
  else if (both)
    said.push(
      `Day ${date.text} and weekday ${weekday.text} are both given and one begins with *: a day must match both (cron's rule).`,
    );
  if (minute.text === '*' && !hour.star && second.text === '0')
    said.push(
      `The minute is *: this runs every minute of hour ${hour.text}; for once an hour give a minute, such as 0.`,
    );
  const steps: [Field, number, string, string][] = [
    [second, 60, 'second', 'minute'],
    [minute, 60, 'minute', 'hour'],
    [hour, 24, 'hour', 'day'],
    [date, 31, 'day', 'month'],
    [month, 12, 'month', 'year'],
  ];
  for (const [field, span, unit, around] of steps)
    for (const item of field.items) {
      if (item.type !== 'all' || item.step === 1) continue;
      if (item.step >= span)
        said.push(`*/${item.step} is longer than a ${around}: it names the first ${unit} only.`);
      else if (span % item.step !== 0)
        said.push(
          `*/${item.step} starts anew with each ${around}: the last step before that is a shorter one.`,
        );
    }
  const values = valuesIn(date);
  const plain = date.items.every((item) => item.type === 'values' || item.type === 'all');
  const lone = plain && !both && values.length > 0 && (values[0] ?? 0) > 28;
  const lacking = valuesIn(month).filter((value) => (values[0] ?? 0) > (longest[value] ?? 31));
  if (lone && lacking.length > 0) said.push(`Months without day ${values[0]} are left out.`);
  if (lone && valuesIn(month).join() === '2') said.push('29 February comes in leap years only.');
  return said;
}

const longest = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function aboutClocks(schedule: Schedule, cron: Cron, from: number): string[] {
  const { zone, dst } = schedule.plan;
  const said: string[] = [];
  const literal = dst === 'both' || (dst === 'vixie' && cron.wildcard);
  for (const change of changesOf(zone, from, from + AHEAD)) {
    if (Math.abs(change.by) >= CORRECTION) continue;
    const when = `On ${day(wallOf(change.from))} ${goes(change)} in ${zone.name}`;
    if (change.by > 0) {
      // A job that runs all day long loses nothing that anybody would miss.
      if (dst === 'vixie' && cron.wildcard) continue;
      const skipped = cron.next(change.from, change.to) < change.to ? skippedBy(schedule, change) : '';
      if (skipped === '') continue;
      const what = moves(schedule, cron, change)
        ? 'one run at the change takes its place'
        : 'nothing runs in its place';
      said.push(`${when}: ${skipped} ${skipped.includes(' ') ? 'do' : 'does'} not exist, ${what}.`);
    } else if (cron.next(change.to, change.from) < change.from) {
      if (dst === 'vixie' && cron.wildcard) continue;
      said.push(
        `${when}: what is due then comes twice and runs ${literal ? 'twice' : 'the first time only'}.`,
      );
    }
  }
  return said;
}
