import type { Ledger } from '#agent/ledger.ts';
import type { RunId } from '#core/model/ids.ts';
import { within } from '#test/until.ts';

/** The part of the ledger that takes output, keeping its promise: what comes again at an offset that is known counts once. */
export class MemoryLedger implements Pick<Ledger, 'output'> {
  readonly #pieces = new Map<RunId, Map<number, Buffer>>();
  #seen: (() => void)[] = [];

  output(run: RunId, offset: number, data: Uint8Array): void {
    const pieces = this.#pieces.get(run) ?? new Map<number, Buffer>();
    this.#pieces.set(run, pieces);
    const known = pieces.get(offset);
    if (known === undefined || known.length < data.length) pieces.set(offset, Buffer.from(data));
    for (const tell of this.#seen.splice(0)) tell();
  }

  /** The output as it can be read: pieces by offset, each byte once, and where one is missing `[N left out]`. */
  text(run: RunId): string {
    const parts: Buffer[] = [];
    let at = 0;
    for (const [offset, data] of [...(this.#pieces.get(run) ?? [])].sort(([a], [b]) => a - b)) {
      if (offset > at) parts.push(Buffer.from(`[${offset - at} left out]`));
      if (offset + data.length > at) parts.push(data.subarray(Math.max(0, at - offset)));
      at = Math.max(at, offset + data.length);
    }
    return Buffer.concat(parts).toString();
  }

  /** Resolves when the run's output holds `wanted`. */
  async says(run: RunId, wanted: string): Promise<void> {
    const said = async () => {
      while (!this.text(run).includes(wanted)) await new Promise<void>((resolve) => this.#seen.push(resolve));
    };
    await within(`${run} to say ${JSON.stringify(wanted)}`, said(), () => this.text(run));
  }
}
