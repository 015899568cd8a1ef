import type { DatabaseSync } from 'node:sqlite';
import type { WorkerLoad } from '#core/model/worker.ts';

/** The last load figures of each worker. */
export function loadsTable(db: DatabaseSync) {
  const put = db.prepare('REPLACE INTO load VALUES (?, ?)');
  const all = db.prepare('SELECT body FROM load ORDER BY id');
  return {
    save: (load: WorkerLoad) => void put.run(load.id, JSON.stringify(load)),
    all: () => all.all().map((row): WorkerLoad => JSON.parse(String(row.body))),
  };
}
