import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Context } from 'hono';
import type { SiteFile } from './deps.ts';

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.map': 'application/json',
};

/** The built site of a folder, read once; null where none was built. Every path of the page's own is the page, for deep links. */
export function siteFrom(folder: URL): ((path: string) => SiteFile | null) | null {
  const root = fileURLToPath(folder);
  if (!existsSync(join(root, 'index.html'))) return null;
  const files = new Map<string, SiteFile>();
  for (const name of readdirSync(root)) {
    const body = new Uint8Array(readFileSync(join(root, name)));
    const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`;
    const cacheControl = name === 'index.html' ? 'no-cache' : 'public, max-age=31536000, immutable';
    files.set(`/${name}`, {
      body,
      type: types[extname(name)] ?? 'application/octet-stream',
      cacheControl,
      etag,
    });
  }
  const page = files.get('/index.html') ?? null;
  return (path) => {
    const ours = /^\/(api|job|worker|metrics|docs|openapi)\b/.test(path);
    // Files lie at the top only: further down a dot is part of a run's id or of a job's name.
    const missing = path.lastIndexOf('/') === 0 && extname(path) !== '';
    return files.get(path) ?? (ours || missing ? null : page);
  };
}

/** A file of the site, or 304 where the browser has it already. */
export function siteResponse(c: Context, { body, type, cacheControl, etag }: SiteFile): Response {
  const headers = { 'cache-control': cacheControl, etag };
  const known = c.req.header('if-none-match')?.split(',') ?? [];
  if (known.some((one) => one.trim().replace(/^W\//, '') === etag)) return c.body(null, 304, headers);
  return c.body(body, 200, { ...headers, 'content-type': type });
}
