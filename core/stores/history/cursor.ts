import { Refusal } from '#core/model/refusal.ts';

export type CursorPart = number | string;
export type CursorShape = readonly ('number' | 'string')[];

/** Where a list goes on: the sort key of its last item. */
export function encodeCursor(parts: readonly CursorPart[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** Refusal `query_invalid` for anything that `encodeCursor` did not make for this list. */
export function decodeCursor(cursor: string, shape: CursorShape): CursorPart[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (
      Array.isArray(parts) &&
      parts.length === shape.length &&
      parts.every((part, at) => typeof part === shape[at])
    )
      return parts;
  } catch {
    // Not JSON: the same refusal as for any other text.
  }
  throw new Refusal(
    'query_invalid',
    'cursor: is not one of this list; expected `next` of an earlier answer',
    {
      errors: [
        {
          path: 'cursor',
          message: 'is not one of this list',
          value: cursor,
          expected: '`next` of an earlier answer',
        },
      ],
    },
  );
}
