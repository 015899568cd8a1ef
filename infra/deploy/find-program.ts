import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program of this name in PATH, or where administrators' programs lie, which PATH may leave out. */
export function inPath(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].filter(Boolean);
  return (
    folders
      .map((folder) => join(folder, name))
      .find((path) => {
        try {
          accessSync(path, constants.X_OK);
          return true;
        } catch {
          // Not there or not ours: no use either way.
          return false;
        }
      }) ?? null
  );
}
