import { useQuery } from '@tanstack/preact-query';
import { jobNotices } from '#core/model/alert.ts';
import type { Job } from '#core/model/job.ts';
import type { Channel, Page, Problem } from './api.ts';
import { channelsPath } from './channels-page.tsx';
import { Link, may, type Shared } from './parts.tsx';

type Rule = Job['notify'][number];
/** As it is typed: the channels are one text. */
export interface TypedRule {
  on: Rule['on'];
  to: string;
}

export function typedRules(rules: readonly Rule[]): TypedRule[] {
  return rules.map(({ on, to }) => ({ on, to: to.join(', ') }));
}

export function rulesOf(typed: readonly TypedRule[]): Rule[] {
  return typed.map(({ on, to }) => ({ on, to: to.split(/[\s,;]+/).filter(Boolean) }));
}

/** Who is told of what becomes of a job's runs. */
export function Notify(
  props: Pick<Shared, 'call' | 'me' | 'go'> & {
    rules: TypedRule[];
    set(rules: TypedRule[]): void;
    errors: Problem['errors'];
  },
) {
  const { call, me, go, rules, set, errors } = props;
  // Who may not see the channels writes their names, and the server says which there are.
  const mayList = may(me, 'admin') && me.groups === null;
  const { data } = useQuery({
    queryKey: [channelsPath, undefined],
    enabled: mayList,
    queryFn: () => call<Page<Channel>>('GET', channelsPath),
  });
  const names = data?.items.map(({ name }) => name);
  const hint =
    names === undefined
      ? 'names of channels, with a comma between'
      : `with a comma between: ${names.join(', ')}`;
  const change = (at: number, rule: TypedRule) => set(rules.with(at, rule));
  return (
    <fieldset class="mb-3">
      <legend class="fs-6">Tell</legend>
      {rules.map(({ on, to }, at) => {
        const error = errors.find(({ path }) => path.startsWith(`notify.${at}`))?.message;
        const id = `notify-${at}`;
        return (
          <div class="border rounded p-2 mb-2" key={at}>
            <label class="form-label" for={id}>
              Channels
            </label>
            <div class="d-flex gap-2">
              <input
                {...{ id, value: to, autocomplete: 'off', autocapitalize: 'off', spellcheck: false }}
                class={`form-control ${error ? 'is-invalid' : ''}`}
                aria-invalid={error !== undefined}
                aria-describedby={`${id}-help`}
                onInput={(event) => change(at, { on, to: event.currentTarget.value })}
              />
              <button
                type="button"
                class="btn btn-outline-secondary"
                aria-label={`Remove rule ${at + 1}`}
                onClick={() => set(rules.toSpliced(at, 1))}
              >
                Remove
              </button>
            </div>
            <div id={`${id}-help`} class={error ? 'text-danger small' : 'form-text'}>
              {error ?? hint}
            </div>
            <div class="d-flex flex-wrap column-gap-3 mt-1">
              {jobNotices.map((kind) => (
                <div class="form-check" key={kind}>
                  <input
                    {...{ type: 'checkbox', id: `${id}-${kind}`, class: 'form-check-input' }}
                    checked={on.includes(kind)}
                    onChange={() =>
                      change(at, {
                        to,
                        on: on.includes(kind) ? on.filter((one) => one !== kind) : [...on, kind],
                      })
                    }
                  />
                  <label class="form-check-label" for={`${id}-${kind}`}>
                    {kind.replace('_', ' ')}
                  </label>
                </div>
              ))}
            </div>
          </div>
        );
      })}
      {names?.length === 0 ? (
        <p class="form-text">
          There is no channel to tell yet:{' '}
          <Link to="/new/channel" go={go}>
            make one
          </Link>
          .
        </p>
      ) : (
        <button
          type="button"
          class="btn btn-sm btn-outline-secondary"
          onClick={() =>
            set([
              ...rules,
              {
                on: jobNotices.filter((kind) => kind !== 'late'),
                to: names?.length === 1 ? (names[0] ?? '') : '',
              },
            ])
          }
        >
          {rules.length === 0 ? 'Tell somebody' : 'Tell somebody else'}
        </button>
      )}
    </fieldset>
  );
}
