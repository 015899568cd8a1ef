import type { DatabaseSync } from 'node:sqlite';
import type { WorkerLoad } from '#core/model/worker.ts';

/** The last load figures of each worker. */
export function loadsTable(db: DatabaseSync) {
  const put = db.prepare('REPLACE INTO load VALUES (?, ?)');
  const all = db.prepare('SELECT body FROM load ORDER BY id');
  const some = db.prepare('SELECT body FROM load WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id');
  return {
    save: (load: WorkerLoad) => void put.run(load.id, JSON.stringify(load)),
    read: (workers?: readonly string[]) =>
      (workers === undefined ? all.all() : some.all(JSON.stringify(workers))).map(
        (row): WorkerLoad => JSON.parse(String(row.body)),
      ),
  };
}
