/** Where a JSON text stands: an object with the keys that it has had, or a list with the place of its present item. */
type Inside = { keys: Set<string>; key: string } | { item: number };

/**
 * The fields that a well-formed JSON text gives twice in one object, by path. JSON.parse takes the last of them without a word, other
 * readers the first (RFC 8259 section 4), so what was meant can't be known.
 */
export function repeatedKeys(text: string): string[] {
  const inside: Inside[] = [];
  const repeated: string[] = [];
  let string = '';
  for (let at = 0; at < text.length; at += 1) {
    const top = inside.at(-1);
    switch (text[at]) {
      case '"': {
        const end = endOfString(text, at);
        string = text.slice(at, end + 1);
        at = end;
        break;
      }
      case ':':
        if (top === undefined || !('keys' in top)) break;
        top.key = JSON.parse(string);
        if (top.keys.has(top.key)) repeated.push(pathOf(inside));
        top.keys.add(top.key);
        break;
      case ',':
        if (top !== undefined && 'item' in top) top.item += 1;
        break;
      case '{':
        inside.push({ keys: new Set(), key: '' });
        break;
      case '[':
        inside.push({ item: 0 });
        break;
      case '}':
      case ']':
        inside.pop();
        break;
    }
  }
  return [...new Set(repeated)];
}

function pathOf(inside: readonly Inside[]): string {
  return inside.map((one) => ('keys' in one ? one.key : one.item)).join('.');
}

/** Where the string that begins at `from` has its closing quote. */
function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
