import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/preact-query';
import { render } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { client, type Me } from './api.ts';
import { JobForm } from './job-form.tsx';
import { JobPage } from './job-page.tsx';
import { JobsPage } from './jobs-page.tsx';
import { Fault, Link, type Shared } from './parts.tsx';
import { RunPage } from './run-page.tsx';
import { keepToken, tokenOf } from './session.ts';
import { WorkersPage } from './workers-page.tsx';

function SignIn({ reason, enter }: { reason: string; enter(token: string): void }) {
  const [token, setToken] = useState('');
  return (
    <form
      class="mx-auto mt-5 narrow"
      onSubmit={(event) => {
        event.preventDefault();
        enter(token.trim());
      }}
    >
      <h1 class="h3">cronfleet</h1>
      {reason !== '' && (
        <div class="alert alert-warning" role="alert">
          {reason}
        </div>
      )}
      <label class="form-label" for="token">
        Token
      </label>
      <input
        id="token"
        class="form-control mb-2"
        type="password"
        value={token}
        onInput={(event) => setToken(event.currentTarget.value)}
      />
      <p class="form-text">
        The link that the server prints at its start signs you in. A token:{' '}
        <code>npm run -s cli -- token create NAME --role admin</code>
      </p>
      <button type="submit" class="btn btn-primary">
        Sign in
      </button>
    </form>
  );
}

function Signed({ call, signOut }: { call: Shared['call']; signOut(): void }) {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const back = () => setPath(location.pathname);
    addEventListener('popstate', back);
    return () => removeEventListener('popstate', back);
  }, []);
  const { data: me, error } = useQuery({ queryKey: ['me'], queryFn: () => call<Me>('GET', '/me') });
  const go = (to: string) => {
    history.pushState(null, '', to);
    setPath(to);
  };
  if (me === undefined) return <Fault error={error} />;
  const shared: Shared = { call, me, go };
  const [, section = '', first = '', second = ''] = path.split('/').map(decodeURIComponent);
  return (
    <>
      <nav class="navbar navbar-expand border-bottom mb-3" aria-label="Main">
        <div class="container gap-3">
          <strong>
            <Link to="/" go={go}>
              cronfleet
            </Link>
          </strong>
          <Link to="/" go={go}>
            Jobs
          </Link>
          <Link to="/workers" go={go}>
            Workers
          </Link>
          <span class="ms-auto text-body-secondary">
            {me.name} ({me.role})
          </span>
          <button type="button" class="btn btn-sm btn-outline-secondary" onClick={signOut}>
            Sign out
          </button>
        </div>
      </nav>
      <main class="container">
        {section === 'workers' ? (
          <WorkersPage {...shared} />
        ) : section === 'new' ? (
          <JobForm {...shared} view={null} />
        ) : section === 'jobs' ? (
          <JobPage key={path} {...shared} group={first} name={second} />
        ) : section === 'runs' ? (
          <RunPage key={path} {...shared} run={first} />
        ) : (
          <JobsPage {...shared} />
        )}
      </main>
    </>
  );
}

function Site() {
  const [token, setToken] = useState(() => tokenOf(location, history));
  const [reason, setReason] = useState('');
  const queries = useMemo(() => new QueryClient({ defaultOptions: { queries: { retry: 1 } } }), [token]);
  const leave = (why: string) => {
    keepToken(null);
    setReason(why);
    setToken(null);
  };
  const call = useMemo(
    () => client(token ?? '', () => leave('That token does not stand (any more).')),
    [token],
  );
  if (token === null)
    return (
      <SignIn
        reason={reason}
        enter={(given) => {
          keepToken(given);
          setToken(given);
        }}
      />
    );
  return (
    <QueryClientProvider client={queries}>
      <Signed call={call} signOut={() => leave('')} />
    </QueryClientProvider>
  );
}

document.documentElement.dataset.bsTheme = matchMedia('(prefers-color-scheme: dark)').matches
  ? 'dark'
  : 'light';
const root = document.getElementById('site');
if (root !== null) render(<Site />, root);
