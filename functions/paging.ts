import { Refusal } from '#core/model/refusal.ts';

/** A page of what is all in memory, in order of `keyOf`; the cursor is the last one's key, so inserts move nothing. */
export function pageBy<T>(
  all: readonly T[],
  keyOf: (one: T) => string,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): { items: T[]; next: string | null } {
  const after = cursor === undefined ? null : decodeCursor(cursor);
  const sorted = all
    .map((one) => ({ key: keyOf(one), one }))
    .filter(({ key }) => after === null || key > after)
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const items = sorted.slice(0, limit);
  const last = items.at(-1);
  return {
    items: items.map(({ one }) => one),
    next: last !== undefined && sorted.length > limit ? encodeCursor(last.key) : null,
  };
}

export function encodeCursor(key: string): string {
  return Buffer.from(key).toString('base64url');
}

/** Refusal `query_invalid` for what encodeCursor can't have made. */
export function decodeCursor(cursor: string, prefix = ''): string {
  const key = Buffer.from(cursor, 'base64url').toString();
  if (encodeCursor(key) === cursor && key.startsWith(prefix)) return key;
  throw new Refusal(
    'query_invalid',
    'cursor: is not one of this list; expected `next` of an earlier answer',
    {
      errors: [
        {
          path: 'cursor',
          message: 'is not one of this list',
          value: cursor.slice(0, 100),
          expected: '`next`',
        },
      ],
    },
  );
}
