import type { Api } from './api.ts';
import type { Options } from './options.ts';

/** One host for the site, which lies in S3, and the API: CloudFront, with a domain of one's own if wanted. */
export function makeSite(options: Options, { gateway }: Api, folder: string) {
  const router = new sst.aws.Router('Router', {
    ...(options.domain === null ? {} : { domain: options.domain }),
    edge: { viewerResponse: { injection: securityHeaders } },
  });
  // Above the 29 s that a poll may take.
  for (const path of apiPaths)
    router.route(path, gateway.url, { readTimeout: '35 seconds', connectionAttempts: 2 });
  // No errorPage: every address of the page's own is the page then, which an error page would answer with 404.
  new sst.aws.StaticSite('Site', {
    path: folder,
    router: { instance: router },
    assets: {
      // A page that was opened before a deploy still finds its files.
      purge: false,
      fileOptions: [
        { files: ['**/*.js', '**/*.css'], cacheControl: 'public, max-age=31536000, immutable' },
        { files: '**/*.html', cacheControl: 'no-cache', contentType: 'text/html; charset=utf-8' },
      ],
    },
  });
  return router;
}

/** What the API answers; the rest is the site's. `/job` and `/worker` are the course's API. */
const apiPaths = ['/api', '/job', '/worker', '/openapi.json', '/docs'];

/** The same as the API sets on its own answers (functions/app.ts); a test holds them together. */
const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'strict-transport-security': 'max-age=31536000',
};

const securityHeaders = Object.entries(headers)
  .map(
    ([name, value]) =>
      `event.response.headers[${JSON.stringify(name)}] = { value: ${JSON.stringify(value)} };`,
  )
  .join('\n');
