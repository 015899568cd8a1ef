export interface Line {
  /** Where it began in the original output. */
  offset: number;
  line: string;
  at: number;
}

/** A longer line is taken for several, which overlap: what has no newline must not be gathered without end. */
const lineMaxBytes = 65_536;
const newline = 10;

/** Makes lines of a run's pieces, which come in order; a gap between two of them ends a line. */
export class LineSplitter {
  #rest: Uint8Array = new Uint8Array();
  /** Where `#rest` began. */
  #start: number;
  #at = 0;
  readonly #overlap: number;

  /** `overlapBytes`: of less than this nothing is torn where a line is taken for several. */
  constructor(overlapBytes: number, start = 0) {
    this.#overlap = overlapBytes;
    this.#start = start;
  }

  /** Where the line begins that is not whole yet: from here on another splitter goes on as this one would. */
  get start(): number {
    return this.#start;
  }

  *push({ offset, at, data }: { offset: number; at: number; data: Uint8Array }): Generator<Line> {
    if (offset !== this.#start + this.#rest.length) {
      yield* this.end();
      this.#start = offset;
    }
    this.#at = at;
    let whole = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    for (let end = whole.indexOf(newline); end >= 0; end = whole.indexOf(newline)) {
      yield this.#take(whole.subarray(0, end), end + 1);
      whole = whole.subarray(end + 1);
    }
    while (whole.length > lineMaxBytes) {
      const step = lineMaxBytes - this.#overlap;
      yield this.#take(whole.subarray(0, lineMaxBytes), step);
      whole = whole.subarray(step);
    }
    this.#rest = whole;
  }

  /** What is left, which no newline ended. */
  *end(): Generator<Line> {
    if (this.#rest.length > 0) yield this.#take(this.#rest, this.#rest.length);
    this.#rest = new Uint8Array();
  }

  #take(bytes: Uint8Array, step: number): Line {
    const offset = this.#start;
    this.#start += step;
    return { offset, line: new TextDecoder().decode(bytes), at: this.#at };
  }
}
