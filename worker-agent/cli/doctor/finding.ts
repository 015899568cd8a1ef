export interface Finding {
  level: 'ok' | 'note' | 'bad';
  what: string;
  /** What to do about it; '' where there is nothing to do. */
  advice: string;
}

export const ok = (what: string): Finding => ({ level: 'ok', what, advice: '' });
/** Good to know, and nothing wrong. */
export const note = (what: string, advice = ''): Finding => ({ level: 'note', what, advice });
export const bad = (what: string, advice = ''): Finding => ({ level: 'bad', what, advice });
