/**
 * Shares equal immutable values. A cache and never a truth: when it is full it forgets everything (what is in use
 * lives on by reference), so texts typed by strangers cannot fill the memory.
 */
export class Interned<V> {
  readonly #most: number;
  readonly #values = new Map<string, V>();

  constructor(most: number) {
    this.#most = most;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: V): V {
    if (this.#values.size >= this.#most) this.#values.clear();
    this.#values.set(key, value);
    return value;
  }
}
