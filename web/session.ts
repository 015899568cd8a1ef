const key = 'cronfleet.token';

/** The token of this browser: taken from the fragment of a link that `cronfleet up` prints, and out of the address bar at once. */
export function tokenOf(location: Location, history: History): string | null {
  const given = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (given !== undefined) {
    localStorage.setItem(key, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  return localStorage.getItem(key);
}

export function keepToken(token: string | null): void {
  if (token === null) localStorage.removeItem(key);
  else localStorage.setItem(key, token);
}
