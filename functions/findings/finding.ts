/** Something that is not as it should be. */
export interface ServerFinding {
  /** Stable, for machines. */
  code: string;
  /** `error`: it will not work like this. `warning`: it works, with less than was promised. */
  level: 'error' | 'warning';
  what: string;
  /** What to do about it; '' where `what` says that too. */
  advice: string;
}

export const error = (code: string, what: string, advice: string): ServerFinding => ({
  ...{ code, level: 'error', what, advice },
});
export const warning = (code: string, what: string, advice: string): ServerFinding => ({
  ...{ code, level: 'warning', what, advice },
});

/** Some of many, by name. */
export function some(names: readonly string[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return `${names.slice(0, 5).join(', ')}${more}`;
}
