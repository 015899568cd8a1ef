import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Binary, MongoClient } from 'mongodb';

/**
 * Prints any bytes, mostly no text, and has the same in a file of its own: what its output is judged by. Where its output takes no more, which
 * a full disk may bring about, there is no such file.
 */
export function printing(folder: string, bytes: number): string {
  mkdirSync(folder, { recursive: true });
  const [printed, being] = [`${folder}/$CRON_RUN_ID`, `${folder}.$CRON_RUN_ID`];
  return `head -c ${bytes} /dev/urandom > ${being} && cat ${being} && mv ${being} ${printed}`;
}

export interface OutputVerdict {
  runs: number;
  bytes: number;
  /** Of them not kept, and counted. */
  dropped: number;
  breaches: string[];
}

/** Holds what MongoDB has, and counts as not kept, against the files of the runs that printed so. */
export async function judgeOutputs(historyUrl: string, folder: string): Promise<OutputVerdict> {
  const client = new MongoClient(historyUrl);
  const logs = client.db().collection<{ run: string; offset: number; data: Binary }>('logs');
  const records = client.db().collection<{ _id: string; bytes: number; droppedBytes: number }>('runs');
  const verdict: OutputVerdict = { runs: 0, bytes: 0, dropped: 0, breaches: [] };
  for (const id of readdirSync(folder)) {
    const printed = readFileSync(join(folder, id));
    const { bytes = -1, droppedBytes = 0 } = (await records.findOne({ _id: id })) ?? {};
    let end = 0;
    let missing = 0;
    for await (const { offset, data } of logs.find({ run: id }).sort({ offset: 1 })) {
      const piece = Buffer.from(data.value());
      if (offset < end) verdict.breaches.push(`P9 ${id} has ${end - offset} bytes at ${offset} twice`);
      missing += Math.max(0, offset - end);
      end = offset + piece.length;
      if (!printed.subarray(offset, end).equals(piece))
        verdict.breaches.push(`P9 ${id} has bytes at ${offset} that it did not print`);
    }
    missing += Math.max(0, printed.length - end);
    if (bytes !== printed.length || missing !== droppedBytes)
      verdict.breaches.push(
        `P9 ${id} printed ${printed.length} bytes, its record says ${bytes}; ${missing} are missing, its record says ${droppedBytes}`,
      );
    verdict.runs += 1;
    verdict.bytes += printed.length;
    verdict.dropped += droppedBytes;
  }
  await client.close();
  return verdict;
}
