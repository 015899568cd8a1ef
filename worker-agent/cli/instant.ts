import { Usage } from './command.ts';

/** For help: how a time is written. */
export const timeForms = '2026-11-22T02:30:00Z, 2026-11-22 02:30:00Z, +01:00 for Z';

const shape = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?) ?(Z|[+-]\d\d(?::?\d\d)?)$/i;
/** As ids of runs carry it. */
const inIds = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z$/;

/**
 * A time that somebody wrote, as the API takes it: as it is printed here and in ids, or in ISO 8601 with its offset. Throws Usage that names
 * `what`.
 */
export function instantOf(text: string, what: string): string {
  const [, day = '', time = '', zone = ''] = shape.exec(text.replace(inIds, '$1-$2-$3T$4:$5:$6Z')) ?? [];
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // Date.parse takes 30 February for 2 March.
  const isDay = !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(day);
  if (day === '' || !isDay || Number.isNaN(Date.parse(`${day}T${time}Z`)))
    throw new Usage(`${what} ${text}: expected a time such as ${timeForms}`);
  return `${day}T${time}${zone.toUpperCase()}`;
}
