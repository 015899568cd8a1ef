import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { StoreFinding } from '#core/model/store-finding.ts';
import type { EtcdOptions } from './options.ts';

const dayMs = 86_400_000;
/** So long before its end a certificate is spoken of. */
const soonMs = 14 * dayMs;

type Files = { [name in 'ca' | 'cert' | 'key']: Buffer | null };

/** What of these files can't be what it is named as: it would be found in the middle of a connection, and said without its name. */
export function mistakesOf({ ca, cert, key }: Files): { name: keyof Files; mistake: string }[] {
  const found: { name: keyof Files; mistake: string }[] = [];
  const note = (name: keyof Files, mistake: string) => found.push({ name, mistake });
  const own = read(cert, (pem) => new X509Certificate(pem));
  const secret = read(key, (pem) => createPrivateKey(pem));
  if (read(ca, (pem) => new X509Certificate(pem)) === 'unreadable') note('ca', 'holds no certificate in PEM');
  if (own === 'unreadable') note('cert', 'holds no certificate in PEM');
  if (secret === 'unreadable') note('key', 'holds no private key in PEM without a passphrase');
  if (own instanceof X509Certificate && secret !== null && secret !== 'unreadable')
    if (!own.checkPrivateKey(secret as KeyObject)) note('key', 'is not the key of cert');
  return found;
}

function read<T>(pem: Buffer | null, parse: (pem: Buffer) => T): T | 'unreadable' | null {
  if (pem === null) return null;
  try {
    return parse(pem);
  } catch {
    // OpenSSL's words for it name neither the file nor what was expected.
    return 'unreadable';
  }
}

/** Our own certificate and the authority we trust, where they do not hold yet, have run out, or will do so soon. */
export function ofCertificates({ tls }: EtcdOptions, now: number): StoreFinding[] {
  const files = [
    { name: 'ca', pem: tls?.ca ?? null },
    { name: 'cert', pem: tls?.cert ?? null },
  ];
  return files.flatMap(({ name, pem }) => {
    if (pem === null) return [];
    const { from, to } = timeOf(name, pem);
    const finding = (level: StoreFinding['level'], what: string): StoreFinding[] => [
      { code: 'etcd_certificate', level, message: `the certificate of ${name}= ${what}` },
    ];
    const at = (ms: number) => new Date(ms).toISOString();
    const anew = 'have its authority make another (infra/etcd/certificates.sh)';
    if (now < from)
      return finding(
        'error',
        `holds from ${at(from)} on, and by this machine's clock it is ${at(now)}: is that clock right?`,
      );
    if (now >= to) return finding('error', `ran out at ${at(to)}: ${anew}`);
    return now < to - soonMs ? [] : finding('warning', `runs out at ${at(to)}: ${anew}`);
  });
}

/** Of ours the first counts, as the others are its chain; of authorities the best: two stand there while one takes the other's place. */
function timeOf(name: string, pem: Buffer): { from: number; to: number } {
  const all = pem.toString().match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const times = all.map((one) => {
    const { validFromDate, validToDate } = new X509Certificate(one);
    return { from: validFromDate.getTime(), to: validToDate.getTime() };
  });
  const [first = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY }] = times;
  if (name !== 'ca' || times.length < 2) return first;
  return {
    from: Math.min(...times.map(({ from }) => from)),
    to: Math.max(...times.map(({ to }) => to)),
  };
}
