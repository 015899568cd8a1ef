import type { History } from '#core/ports/history.ts';

/** A history that can be switched off; what becomes of each question then, `off` says. */
export function switchedHistory(held: History) {
  let off: (() => Promise<never>) | null = null;
  let asked = 0;
  const history: History = new Proxy(held, {
    get: (_, name: keyof History) =>
      typeof held[name] === 'function'
        ? (...given: never[]) => {
            asked += 1;
            return off === null ? Reflect.apply(held[name], held, given) : off();
          }
        : held[name],
  });
  return {
    history,
    /** Null: it answers. */
    set(to: (() => Promise<never>) | null) {
      off = to;
    },
    /** How often it has been asked something since the last time. */
    asked() {
      const count = asked;
      asked = 0;
      return count;
    },
  };
}
