import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/preact-query';
import { render } from 'preact';
import { useEffect, useErrorBoundary, useMemo, useRef, useState } from 'preact/hooks';
import { AlertsPage } from './alerts-page.tsx';
import { type Client, client, type Me, Problem } from './api.ts';
import { AuditPage } from './audit-page.tsx';
import { ChannelForm, ChannelPage } from './channel-form.tsx';
import { ChannelsPage } from './channels-page.tsx';
import { JobForm } from './job-form.tsx';
import { JobPage } from './job-page.tsx';
import { JobsPage } from './jobs-page.tsx';
import { OpenAlerts } from './open-alerts.tsx';
import { Coming, Link, may, type Shared, textOf, useTitle } from './parts.tsx';
import { resume } from './provider.ts';
import { RunPage } from './run-page.tsx';
import { ServerNotice } from './server-notice.tsx';
import { type Session, tokenSession } from './session.ts';
import { SignIn } from './sign-in.tsx';
import { WorkersPage } from './workers-page.tsx';

/** The page that a path names. */
function Page({ path, search, ...shared }: Shared & { path: string; search: string }) {
  const [broken] = useErrorBoundary();
  if (broken !== undefined) return <Broken why={broken} />;
  const [, section = '', first = '', second = '', ...more] = path.split('/').map(decoded);
  if (more.length === 0) {
    if (section === '') return <JobsPage {...shared} />;
    if (section === 'workers' && first === '') return <WorkersPage {...shared} />;
    if (section === 'alerts' && first === '') return <AlertsPage {...shared} />;
    if (section === 'channels' && first === '') return <ChannelsPage {...shared} />;
    if (section === 'channels' && second === '') return <ChannelPage {...shared} name={first} />;
    if (section === 'audit' && first === '') return <AuditPage {...shared} />;
    if (section === 'new' && first === '') return <JobForm {...shared} view={null} />;
    if (section === 'new' && first === 'channel') return <ChannelForm {...shared} channel={null} />;
    if (section === 'jobs' && second !== '')
      return <JobPage {...shared} group={first} name={second} search={search} />;
    if (section === 'runs' && first !== '' && second === '')
      return <RunPage {...shared} run={first} search={search} />;
  }
  return <NoPage />;
}

function NoPage() {
  useTitle('No such page');
  return (
    <>
      <h1 class="h3">There is no such page</h1>
      <p>Jobs, workers and alerts are by the links above.</p>
    </>
  );
}

/** What stands in a page's place that could make nothing of an answer. */
function Broken({ why }: { why: unknown }) {
  useTitle('Broken');
  return (
    <>
      <h1 class="h3">This page can not be shown</h1>
      <div class="alert alert-danger" role="alert">
        It can make nothing of what the server answered: <code>{textOf(why)}</code>.{' '}
        <a href={location.pathname}>Load it again</a>.
      </div>
    </>
  );
}

/** A part of a path; what can't be decoded is nobody's name. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // Typed by hand, or cut off: the page then says that there is none.
    return part;
  }
}

const placeOf = ({ pathname, search }: Location) => ({ path: pathname, search });

function Signed({ api, signOut }: { api: Client; signOut(): void }) {
  const [{ path, search }, setPlace] = useState(placeOf(location));
  useEffect(() => {
    const back = () => setPlace(placeOf(location));
    addEventListener('popstate', back);
    return () => removeEventListener('popstate', back);
  }, []);
  const main = useRef<HTMLElement>(null);
  const shown = useRef(path);
  useEffect(() => {
    // What led here is gone with the page before: who goes by keys, or hears the page, goes on at its beginning.
    if (shown.current !== path) main.current?.focus({ preventScroll: true });
    shown.current = path;
  }, [path]);
  const { data: me, error } = useQuery({
    queryKey: ['me'],
    queryFn: () => api.call<Me>('GET', '/me'),
    // Until it is known: the server may be starting.
    refetchInterval: ({ state }) => (state.data === undefined ? 5_000 : false),
  });
  const go = (to: string) => {
    // Who has gone elsewhere before the answer came that led there stays where he is.
    if (location.pathname !== path) return;
    history.pushState(null, '', to);
    setPlace(placeOf(location));
    // Only what is asked of the same page has changed: who asks there stays there.
    if (location.pathname !== path) scrollTo(0, 0);
  };
  const here = (to: string) => (path === to ? { 'aria-current': 'page' as const } : {});
  if (me === undefined)
    return (
      <main class="container mt-3">
        <Coming error={error} />
        <button type="button" class="btn btn-outline-secondary" onClick={signOut}>
          Sign out
        </button>
      </main>
    );
  return (
    <>
      <nav class="navbar navbar-expand border-bottom mb-3" aria-label="Main">
        <div class="container flex-wrap column-gap-3">
          <strong class="d-none d-sm-inline">
            <Link to="/" go={go}>
              cronfleet
            </Link>
          </strong>
          <Link to="/" {...{ go, ...here('/') }}>
            Jobs
          </Link>
          <Link to="/workers" {...{ go, ...here('/workers') }}>
            Workers
          </Link>
          <Link to="/alerts" {...{ go, ...here('/alerts') }}>
            Alerts
            <OpenAlerts {...api} />
          </Link>
          {may(me, 'admin') && (
            <Link to="/audit" {...{ go, ...here('/audit') }}>
              Audit
            </Link>
          )}
          <span class="ms-auto text-body-secondary d-none d-sm-inline">
            {me.name} ({me.role})
          </span>
          <button
            type="button"
            class="btn btn-sm btn-outline-secondary text-nowrap ms-auto ms-sm-0"
            onClick={signOut}
          >
            Sign out
          </button>
        </div>
      </nav>
      <main class="container pb-4" ref={main} tabIndex={-1}>
        <ServerNotice {...api} />
        <Page key={path} {...api} me={me} go={go} path={path} search={search} />
      </main>
    </>
  );
}

/** Once more what may have been a hiccup; what is refused is refused again. */
function retry(failures: number, error: Error): boolean {
  return failures < 1 && !(error instanceof Problem && error.status < 500);
}

function Site() {
  const [session, setSession] = useState(() => tokenSession(location, history));
  const [starting, setStarting] = useState(session === null);
  const [reason, setReason] = useState('');
  const [elsewhere, setElsewhere] = useState<string | null>(null);
  const queries = useMemo(() => new QueryClient({ defaultOptions: { queries: { retry } } }), [session]);
  useEffect(() => {
    // The link of a new start, opened in a tab that is here already, changes no more than the fragment.
    const linked = () => {
      const given = tokenSession(location, history);
      if (given !== null) setSession(given);
    };
    addEventListener('hashchange', linked);
    return () => removeEventListener('hashchange', linked);
  }, []);
  useEffect(() => {
    if (session !== null) return;
    resume()
      .then(setSession, (error) => setReason(textOf(error)))
      .finally(() => setStarting(false));
  }, []);
  const leave = (why: string) => {
    setReason(why);
    setElsewhere(null);
    setSession(null);
  };
  const current = useRef(session);
  current.current = session;
  const api = useMemo(
    () =>
      session === null
        ? null
        : client(session, (wasGood) => {
            // It was asked by who was here before.
            if (current.current !== session) return;
            session.forget();
            leave(
              wasGood
                ? 'You are not signed in any more: the token or the session is over.'
                : 'This token is not valid here: it is incomplete, revoked, or that of another server.',
            );
          }),
    [session],
  );
  const signOut = (from: Session) => {
    leave('');
    from.end().then(setElsewhere, (error) => setReason(textOf(error)));
  };
  if (starting)
    return (
      <main class="mx-auto mt-5 narrow">
        <p role="status">Signing in …</p>
      </main>
    );
  if (session === null || api === null)
    return <SignIn reason={reason} elsewhere={elsewhere} enter={setSession} />;
  return (
    // Another session is somebody else's: nothing of what the one saw is for the other.
    <QueryClientProvider key={session} client={queries}>
      <Signed api={api} signOut={() => signOut(session)} />
    </QueryClientProvider>
  );
}

document.documentElement.dataset.bsTheme = matchMedia('(prefers-color-scheme: dark)').matches
  ? 'dark'
  : 'light';
const root = document.getElementById('site');
if (root !== null) render(<Site />, root);
