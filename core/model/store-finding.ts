/** What somebody should know about a store before relying on it. `message` is for people: what is so, and what to do. */
export interface StoreFinding {
  /** Stable, for machines. */
  code: string;
  /** `error`: it will not work like this. `warning`: it works, with less than was promised. */
  level: 'error' | 'warning';
  message: string;
}
