import { connect } from 'node:tls';
import { bad, type Finding, note, ok } from './finding.ts';

const dayMs = 86_400_000;
/** What is renewed by itself is renewed long before. */
const soonDays = 14;
const patienceMs = 5_000;

/** What the API shows as its certificate, and until when it is good; nothing where it goes in the clear, or is not there. */
export async function certificateFinding(url: string, now: number): Promise<Finding[]> {
  const { protocol, hostname, port } = new URL(url);
  if (protocol !== 'https:') return [];
  const host = hostname.replace(/^\[|\]$/g, '');
  const seen = await certificateOf(host, port === '' ? 443 : Number(port));
  if (seen === null) return [];
  const { until, subject, trouble } = seen;
  const days = Math.floor((until - now) / dayMs);
  const renew = 'renew it where TLS ends (nginx: its file, then nginx -s reload; CloudFront: by itself)';
  if (until <= now)
    return [bad(`the certificate of ${host} has expired on ${new Date(until).toISOString()}`, renew)];
  if (trouble !== null)
    return [
      bad(
        `the certificate of ${host} (${subject}) is not to be trusted: ${trouble}`,
        'have it signed for this very name; of an authority of your own: NODE_EXTRA_CA_CERTS=FILE',
      ),
    ];
  const good = `the certificate of ${host} is good for ${days} days`;
  return [days < soonDays ? note(`${good} only`, renew) : ok(good)];
}

/** Null: nobody speaks TLS there, which others say. */
function certificateOf(
  host: string,
  port: number,
): Promise<{ until: number; subject: string; trouble: string | null } | null> {
  return new Promise((resolve) => {
    // Looked at whatever it is like: nothing is sent over it.
    const socket = connect({
      host,
      port,
      servername: /^[\d.:]+$/.test(host) ? '' : host,
      rejectUnauthorized: false,
    });
    const done = (answer: Awaited<ReturnType<typeof certificateOf>>) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(patienceMs, () => done(null));
    for (const end of ['error', 'close']) socket.once(end, () => done(null));
    socket.once('secureConnect', () => {
      const { valid_to, subject } = socket.getPeerCertificate();
      const why = socket.authorizationError as unknown;
      const trouble = socket.authorized ? null : why instanceof Error ? why.message : String(why);
      done({ until: Date.parse(valid_to), subject: String(subject?.CN ?? 'no name'), trouble });
    });
  });
}
