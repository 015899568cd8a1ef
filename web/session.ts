/** How the pages prove who asks. */
export interface Session {
  /** Whether it has just been given: what is refused then has perhaps never been good here. */
  isNew: boolean;
  /** The token for the next request. */
  token(): Promise<string>;
  /** After one was refused: whether there is another one by now. */
  another(): Promise<boolean>;
  /** Has this browser not come back with what was refused. */
  forget(): void;
  /** Ends it; gives where the provider would end its own session. */
  end(): Promise<string | null>;
}

const key = 'cronfleet.token';

/** By the token of this browser: taken from the fragment of a link that `cronfleet up` prints, and out of the address bar at once. */
export function tokenSession(location: Location, history: History): Session | null {
  const given = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (given !== undefined) {
    localStorage.setItem(key, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  const token = localStorage.getItem(key);
  return token === null ? null : sessionOf(token, given !== undefined);
}

/** By a token that somebody typed. */
export function enterToken(token: string): Session {
  localStorage.setItem(key, token);
  return sessionOf(token, true);
}

const sessionOf = (token: string, isNew: boolean): Session => ({
  isNew,
  token: async () => token,
  another: async () => false,
  forget: () => localStorage.removeItem(key),
  async end() {
    localStorage.removeItem(key);
    return null;
  },
});
