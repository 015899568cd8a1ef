/** What stands in an etcd's URL in a file's place: the text itself, where nobody has a file. */
export const isPem = (text: string): boolean => text.startsWith('-----BEGIN ');

/** The URL with the authority that signed etcd's certificate, and the client's own certificate and key, as PEM texts in it. */
export function withPem(url: string, pem: Readonly<Record<'ca' | 'cert' | 'key', string | null>>): string {
  const named = Object.entries(pem).flatMap(([name, text]) =>
    text === null ? [] : [`${name}=${encodeURIComponent(text)}`],
  );
  if (named.length === 0) return url;
  return `${url}${url.includes('?') ? '&' : '?'}${named.join('&')}`;
}
