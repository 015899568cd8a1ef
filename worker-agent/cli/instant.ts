import * as v from 'valibot';
import { time } from '#functions/fields.ts';
import { Usage } from './command.ts';

/** For help: how a time is written. */
export const timeForms = '2026-11-22T02:30:00Z, 2026-11-22 02:30:00Z, +01:00 for Z';

/** As tables show it, with or without a blank before the zone. */
const inTables = /^(\S+)[T ](\S+?) ?(Z|[+-][\d:]+)$/i;
/** As ids of runs carry it. */
const inIds = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z$/;

/**
 * A time that somebody wrote, as the API takes it: as it is printed here and in ids, or in ISO 8601 with its offset. Throws Usage that names
 * `what`.
 */
export function instantOf(text: string, what: string): string {
  const iso = text
    .replace(inIds, '$1-$2-$3T$4:$5:$6Z')
    .replace(inTables, (_, day: string, at: string, zone: string) => `${day}T${at}${zone.toUpperCase()}`);
  if (!v.is(time, iso)) throw new Usage(`${what} ${text}: expected a time such as ${timeForms}`);
  return iso;
}
