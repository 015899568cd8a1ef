import { html } from 'hono/html';
import { pathOf, type Route } from './route.ts';

/** A path that may go on in the next line after each of its slashes: a phone has no room for the longest. */
function broken(path: string) {
  return path.split('/').map((part, at) => (at === 0 ? html`${part}` : html`/<wbr>${part}`));
}

const openRoutes = [
  ['GET', '/api/v1/health', 'Whether it is well'],
  ['GET', '/api/v1/sign-in', 'How one signs in by a provider'],
  ['POST', '/api/v1/sign-in', 'Sign in by its code'],
  ['POST', '/api/v1/sign-in/renew', 'Another token'],
  ['DELETE', '/api/v1/sign-in', 'Sign out'],
] as const;

/** A page that lists the routes; the whole truth is in openapi.json. */
export function docsPage(routes: readonly Route[]) {
  const rows = routes.map(
    (route) =>
      html`<tr><td><code>${route.method}</code></td><td><code>${broken(pathOf(route))}</code></td><td>${route.role}</td><td>${route.summary}</td></tr>`,
  );
  const open = openRoutes.map(
    ([method, path, summary]) =>
      html`<tr><td><code>${method}</code></td><td><code>${broken(path)}</code></td><td>-</td><td>${summary}; open</td></tr>`,
  );
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>cronfleet API</title></head>
<body>
<h1>cronfleet API</h1>
<p>Send <code>Authorization: Bearer TOKEN</code>. Shapes and errors: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
<table><thead><tr><th>Method</th><th>Path</th><th>Role</th><th>What it does</th></tr></thead><tbody>
${open}${rows}</tbody></table>
</body>
</html>`;
}
