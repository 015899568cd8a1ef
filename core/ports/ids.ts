/** Chance as an argument. */
export interface Ids {
  /** A new unguessable id of [a-z0-9], at least 12 characters, fit for keys, URLs and file names. */
  id(): string;
  /** A secret of 256 bits, of [A-Za-z0-9_-]. */
  secret(): string;
  /** A number in [0, 1). */
  chance(): number;
}
