import { createHash } from 'node:crypto';
import { canonical, type State } from './state.ts';

/** One thing that may happen in a state. */
export interface Step {
  name: string;
  to: State;
  /** What it breaks. */
  breach: string | null;
}

export interface Explored {
  states: number;
  steps: number;
  /** The first breach found, and what led to it; null: there is none. */
  breach: { what: string; path: string[] } | null;
}

/** Goes to every state that can be reached, breadth first, so that the path to a breach is a shortest one. */
export async function explore(
  initial: State,
  stepsOf: (state: State) => Step[] | Promise<Step[]>,
  /** What is wrong with a state in which nothing more can happen. */
  wrongAtEnd: (state: State) => string | null,
): Promise<Explored> {
  const digest = (state: State) => createHash('md5').update(canonical(state)).digest('base64');
  const seen = new Set([digest(initial)]);
  interface Node {
    state: State;
    by: string;
    from: Node | null;
  }
  let frontier: Node[] = [{ state: initial, by: 'begin', from: null }];
  let steps = 0;
  const pathOf = (node: Node | null): string[] => (node === null ? [] : [...pathOf(node.from), node.by]);
  while (frontier.length > 0) {
    const next: Node[] = [];
    for (const node of frontier) {
      const possible = await stepsOf(node.state);
      steps += possible.length;
      const wrong = possible.length === 0 ? wrongAtEnd(node.state) : null;
      if (wrong !== null) return { states: seen.size, steps, breach: { what: wrong, path: pathOf(node) } };
      for (const { name, to, breach } of possible) {
        if (breach !== null)
          return { states: seen.size, steps, breach: { what: breach, path: [...pathOf(node), name] } };
        const key = digest(to);
        if (seen.has(key)) continue;
        seen.add(key);
        next.push({ state: to, by: name, from: node });
      }
    }
    frontier = next;
  }
  return { states: seen.size, steps, breach: null };
}
