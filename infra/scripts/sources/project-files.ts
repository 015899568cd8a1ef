import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Project } from './walls.ts';

/** The project's folder, with a slash at its end. */
export const projectFolder = fileURLToPath(new URL('../../..', import.meta.url));

const tops = ['core', 'functions', 'worker-agent', 'web', 'infra', 'test'];

/** The project as it lies on the disk, committed or not. */
export function readProject(): Project {
  const sources = new Map<string, string>();
  for (const top of tops)
    for (const path of filesUnder(top))
      if (/\.(ts|tsx|mjs)$/.test(path)) sources.set(path, readFileSync(join(projectFolder, path), 'utf8'));
  const { imports, dependencies = {}, devDependencies = {} } = readPackage();
  const packages = {
    imports,
    dependencies: Object.keys(dependencies),
    devDependencies: Object.keys(devDependencies),
  };
  return { sources, exists: (path) => existsSync(join(projectFolder, path)), packages };
}

/** What package.json holds, as far as the scripts ask. */
export interface PackageJson {
  version: string;
  imports: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

export function readPackage(): PackageJson {
  return JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8'));
}

/** Files under a folder of the project, by path from the project's folder, in order; without what was installed or built. */
export function filesUnder(folder: string): string[] {
  if (!existsSync(join(projectFolder, folder))) return [];
  return readdirSync(join(projectFolder, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(projectFolder.length))
    .filter((path) => !/(^|\/)(node_modules|dist)\//.test(path))
    .sort();
}
