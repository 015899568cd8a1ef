import { useEffect, useState } from 'preact/hooks';
import { Problem } from './api.ts';
import { textOf, useTitle } from './parts.tsx';
import { findProvider, leaveFor, type Provider } from './provider.ts';
import { enterToken, type Session } from './session.ts';

/** What somebody sees who is nobody yet: by the provider, where there is one, or by a token. */
export function SignIn({
  reason,
  elsewhere,
  enter,
}: {
  reason: string;
  /** Where the provider would end its own session, after somebody signed out here. */
  elsewhere: string | null;
  enter(session: Session): void;
}) {
  useTitle('');
  const [token, setToken] = useState('');
  const [provider, setProvider] = useState<Provider | null>(null);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    findProvider().then(setProvider, (error) => {
      // An API of before, which knows of no provider.
      if (!(error instanceof Problem && error.status === 404)) setProblem(textOf(error));
    });
  }, []);
  const host = provider === null ? '' : new URL(provider.issuer).host;
  return (
    <main class="mx-auto mt-5 narrow">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          enter(enterToken(token.trim()));
        }}
      >
        <h1 class="h3">cronfleet</h1>
        {[reason, problem].map(
          (text) =>
            text !== '' && (
              <div key={text} class="alert alert-warning" role="alert">
                {text}
              </div>
            ),
        )}
        {elsewhere !== null && (
          <p>
            You are signed out here. <a href={elsewhere}>Sign out of {host || 'the provider'}, too</a>
          </p>
        )}
        {provider !== null && (
          <p>
            <button
              type="button"
              class="btn btn-primary w-100"
              onClick={() => leaveFor(provider).catch((error) => setProblem(textOf(error)))}
            >
              Sign in with {host}
            </button>
          </p>
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
          The link that <code>npm start</code> prints signs you in. A token comes by{' '}
          <code>cronfleet token create NAME --role admin</code>
        </p>
        <button type="submit" class={`btn btn-${provider === null ? '' : 'outline-'}primary`}>
          {provider === null ? 'Sign in' : 'Sign in by token'}
        </button>
      </form>
    </main>
  );
}
