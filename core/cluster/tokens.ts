import type { Kv } from '#core/ports/kv.ts';
import { prefixRange } from '#core/ports/kv.ts';
import type { Layout } from './keys.ts';
import { decode, TokenValue } from './records.ts';

export async function listTokens(kv: Kv, layout: Layout): Promise<TokenValue[]> {
  const { entries } = await kv.range(prefixRange(layout.tokens));
  return entries.flatMap((entry) => {
    const read = decode(TokenValue, entry);
    return read.ok ? [read.value] : [];
  });
}

export async function getToken(kv: Kv, layout: Layout, id: string): Promise<TokenValue | null> {
  const { entries } = await kv.range({ key: layout.token(id) });
  const read = entries[0] === undefined ? null : decode(TokenValue, entries[0]);
  return read?.ok ? read.value : null;
}

export async function putToken(kv: Kv, layout: Layout, token: TokenValue): Promise<void> {
  await kv.txn({
    compare: [],
    then: [{ type: 'put', key: layout.token(token.id), value: JSON.stringify(token) }],
  });
}

/** Where there is any token, this one is not taken. */
export async function putTokenIfNone(kv: Kv, layout: Layout, token: TokenValue): Promise<void> {
  await kv.txn({
    compare: [{ ...prefixRange(layout.tokens), target: 'create', op: '=', revision: '0' }],
    then: [{ type: 'put', key: layout.token(token.id), value: JSON.stringify(token) }],
  });
}

/** Whether there was one. */
export async function deleteToken(kv: Kv, layout: Layout, id: string): Promise<boolean> {
  const { results } = await kv.txn({ compare: [], then: [{ type: 'delete', key: layout.token(id) }] });
  return results[0]?.type === 'delete' && results[0].deleted > 0;
}
