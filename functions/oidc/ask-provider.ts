import { Refusal } from '#core/model/refusal.ts';
import type { Clock } from '#core/ports/clock.ts';

/** What a provider is reached with. */
export interface Reach {
  clock: Clock;
  fetch: typeof fetch;
}

/** How long a provider may take; whoever signs in waits for it. */
const answerMs = 5_000;
/** No document of a provider is larger. */
const largest = 1_048_576;
/** Seconds after which somebody may ask again. */
const retryAfter = 5;

/** The provider can't be reached, or says what no provider says. */
export function providerAway(what: string): Refusal {
  return new Refusal('provider_away', `sign-in: ${what}`, { retryAfter });
}

/** Asks a provider for JSON, in a time of ours. Refusal `provider_away`; an answer that says no is one. */
export async function askProvider(
  { clock, fetch: ask }: Reach,
  url: string,
  init: RequestInit = {},
): Promise<{ status: number; json: unknown }> {
  const stop = new AbortController();
  const cancel = clock.after(answerMs, () => stop.abort());
  try {
    const answer = await ask(url, {
      ...init,
      headers: { accept: 'application/json', ...init.headers },
      // Secrets and codes are for this address, and for no other.
      redirect: 'manual',
      signal: stop.signal,
    });
    const text = await answer.text();
    if (text.length > largest) throw providerAway(`${url} answers with over ${largest} bytes`);
    return { status: answer.status, json: jsonOf(text) };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = stop.signal.aborted
      ? `no answer within ${answerMs / 1_000} s`
      : cause instanceof Error
        ? cause.message
        : 'no answer';
    throw providerAway(`${url} can not be reached from here: ${why}`);
  } finally {
    cancel();
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A page of a proxy, say: whoever asked finds nothing in it that it expects, and says so.
    return null;
  }
}
