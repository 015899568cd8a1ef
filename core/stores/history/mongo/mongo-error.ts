import {
  BSON,
  MongoBulkWriteError,
  MongoError,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
} from 'mongodb';
import { HistoryError } from '#core/ports/history.ts';

const duplicateKey = 11_000;
/** What no repeat changes, by code: the server's list is src/mongo/base/error_codes.yml. */
const refusals: Record<number, string> = {
  13: 'its user may not do this; grant it the role readWrite on the database',
  18: 'it does not accept the user or the password',
  8000: 'it does not accept the user, the password, or what was asked for',
  121: 'a document does not pass its schema; has a later cronfleet, or somebody by hand, changed it?',
  10334: 'a document is larger than it takes',
  14031: 'its disk is full',
};

/** Refusals of a document as such, which no change at the server and no repeat makes good. */
const unfitting = [121, 10334];

/** What the driver threw, as a fault that says which history, what was asked of it and what to do. */
export function mongoError(place: string, what: string, error: unknown): unknown {
  // Found by the driver itself, before anything is sent: it has no form as a document.
  if (error instanceof BSON.BSONError)
    return new HistoryError('unfit', `history ${place}: cannot ${what}: ${error.message}`, { cause: error });
  if (!(error instanceof MongoError)) return error;
  const said = saidBy(error);
  const refusal = refusalOf(error);
  const why = refusal === undefined ? said : `${refusal} (${said})`;
  const text = `history ${place}: cannot ${what}: ${why}`;
  const code = refusal === undefined ? 'unavailable' : isUnfit(error) ? 'unfit' : 'refused';
  return new HistoryError(code, text, { cause: error });
}

function saidBy(error: MongoError): string {
  if (error instanceof MongoServerSelectionError) return selectionText(error);
  // Its own words are "Topology is closed": it waited beside a call that was told that none is there.
  if (error instanceof MongoTopologyClosedError)
    return 'no server that can be used is there; is the address right, is the server up, does a firewall stand between?';
  return error.message;
}

/** Whether all that was not taken is at fault itself. */
function isUnfit(error: MongoError): boolean {
  const errors = writeErrorsOf(error).filter(({ code }) => code !== duplicateKey);
  if (errors.length === 0) return unfitting.includes(Number(error.code));
  return errors.every(({ code }) => unfitting.includes(code));
}

/** The reason why a repeat would not help; undefined where it may. */
export function refusalOf(error: MongoError): string | undefined {
  const cause = error.cause instanceof MongoServerError ? error.cause : error;
  if (cause instanceof MongoNetworkError) return undefined;
  const codes = [cause.code, ...writeErrorsOf(cause).map(({ code }) => code)];
  return codes.flatMap((code) => refusals[Number(code)] ?? [])[0];
}

function selectionText(error: MongoServerSelectionError): string {
  const hosts = [...(error.reason?.servers?.values() ?? [])];
  const why = hosts.flatMap(({ address, error: of }) => (of ? `${address}: ${of.message}` : []));
  return (
    [error.message, ...why, ...hosts.flatMap(({ error: of }) => hint(of?.message))]
      // OpenSSL's words end with a line of their own.
      .map((text) => text.replaceAll(/\s+/g, ' ').trim())
      .filter((text, at, all) => all.indexOf(text) === at)
      .join('; ')
  );
}

/** What the driver's words for a connection mean, where that is not plain. */
function hint(message = ''): string[] {
  // So Atlas refuses an address: in the middle of TLS, without a word that says so.
  if (/alert internal error|alert number 80/.test(message))
    return ['the server ends TLS at once: at Atlas, add the address of this host to Network Access'];
  if (/certificate has expired/.test(message)) return ['its certificate has expired: renew it on the server'];
  if (/alert certificate expired|alert number 45/.test(message))
    return ['our certificate (tlsCertificateKeyFile) has expired: make a new one'];
  return [];
}

/** Which documents of a bulk write were not taken, and why. */
export function writeErrorsOf(error: unknown): { index: number; code: number }[] {
  if (!(error instanceof MongoBulkWriteError)) return [];
  return [error.writeErrors].flat().map(({ index, code }) => ({ index, code }));
}

/**
 * What a bulk write did not write: `there`, the places of documents that were there already; `refused`, the error where the server
 * would not take others, whatever comes. All else is written. Throws the error itself where that is not sure.
 */
export function unwritten(error: unknown): { there: number[]; refused: MongoBulkWriteError | null } {
  const errors = writeErrorsOf(error);
  if (
    !(error instanceof MongoBulkWriteError) ||
    errors.length === 0 ||
    error.result.getWriteConcernError() !== undefined
  )
    throw error;
  const there = errors.filter(({ code }) => code === duplicateKey).map(({ index }) => index);
  return { there, refused: there.length === errors.length ? null : error };
}
