import { readFileSync } from 'node:fs';

/**
 * Where the project or the shipped package begins. Both have this file, or the bundle that it became part of, two levels down: so
 * only files of this folder may say where things lie.
 */
const root = new URL('../../', import.meta.url);

/** As package.json has it. */
export const version: string = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')).version;

/** The built site. */
export const siteFolder = new URL('dist/site/', root);
