import { useQuery } from '@tanstack/preact-query';
import type { Client } from './api.ts';
import { Time } from './parts.tsx';

/** Of which version this page is: written into it when the site was built. */
export function siteVersion(): string {
  return document.querySelector<HTMLMetaElement>('meta[name=version]')?.content ?? '';
}

/** Says on every page what of the server is not as it should be: another version than the page's, a store that is away. */
export function ServerNotice({ health }: Pick<Client, 'health'>) {
  const { data } = useQuery({ queryKey: ['health'], queryFn: health, refetchInterval: 30_000 });
  const { version, stores } = data ?? {};
  const own = siteVersion();
  const away = [
    ...(stores?.kv === 'away' ? [{ name: 'The store of jobs', trouble: data?.away?.kv }] : []),
    ...(stores?.history === 'away' ? [{ name: 'The history', trouble: data?.away?.history }] : []),
  ];
  return (
    <>
      {version !== undefined && version !== own && (
        <div class="alert alert-warning" role="alert">
          This page was built for version {own} and the server is of {version}: what it shows and saves may be
          wrong. <a href={location.pathname}>Load it again</a>; if this stays, whoever set the server up has
          still to put the site of {version} in place, or is in the middle of it.
        </div>
      )}
      {away.length > 0 && (
        <div class="alert alert-danger" role="alert">
          {away.map(({ name }) => name).join(' and ')} {away.length > 1 ? 'do' : 'does'} not answer the server
          at the moment. What runs, runs on
          {stores?.kv === 'ok' && '; how it went before is not known meanwhile'}.
          {away.map(
            ({ name, trouble }) =>
              trouble && (
                <div key={name} class="small">
                  {name}: away since <Time at={trouble.since} />, as far as this server has seen (
                  {trouble.why})
                </div>
              ),
          )}
        </div>
      )}
    </>
  );
}
