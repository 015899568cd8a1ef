/** Blocks are split beyond this: small enough to move on an insert, and few enough to find one by bisection. */
const blockMax = 512;

/**
 * A map that also walks its keys in order, by UTF-16 code units (for the ASCII keys of this project etcd's byte
 * order). A list of sorted blocks: an insert among 100,000 keys moves at most one block and the list of blocks.
 */
export class SortedMap<V> {
  readonly #values = new Map<string, V>();
  /** None is empty. */
  readonly #blocks: string[][] = [];

  get size(): number {
    return this.#values.size;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  set(key: string, value: V): void {
    if (!this.#values.has(key)) this.#insert(key);
    this.#values.set(key, value);
  }

  delete(key: string): void {
    if (!this.#values.delete(key)) return;
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (!block) return;
    block.splice(lowerBound(block, key), 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /** Calls `visit` with the values of [from, end) in key order until it answers false. */
  scan(from: string, end: string, visit: (value: V) => boolean): void {
    for (let at = this.#blockOf(from); at < this.#blocks.length; at++) {
      const block = this.#blocks[at] ?? [];
      for (let place = lowerBound(block, from); place < block.length; place++) {
        const key = block[place] ?? '';
        if (key >= end) return;
        if (!visit(this.#values.get(key) as V)) return;
      }
    }
  }

  /** How many keys stand in [from, end). */
  count(from: string, end: string): number {
    if (end <= from) return 0;
    const first = this.#blockOf(from);
    const last = this.#blockOf(end);
    let count = lowerBound(this.#blocks[last] ?? [], end) - lowerBound(this.#blocks[first] ?? [], from);
    for (let at = first; at < last; at++) count += this.#blocks[at]?.length ?? 0;
    return count;
  }

  #insert(key: string): void {
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (!block) {
      this.#blocks.push([key]);
      return;
    }
    block.splice(lowerBound(block, key), 0, key);
    // Keys often come in order (a load, an import): the full block then stays full, and the next one starts empty.
    const half = block[block.length - 1] === key ? blockMax : blockMax / 2;
    if (block.length > blockMax) this.#blocks.splice(at + 1, 0, block.splice(half));
  }

  /** The last block that begins at or before `key`; the first one where none does. */
  #blockOf(key: string): number {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#blocks[middle]?.[0] ?? '') <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** The place of the first key that is not below `key`. */
function lowerBound(block: readonly string[], key: string): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((block[middle] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
