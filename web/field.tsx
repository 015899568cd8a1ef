/** One text of a form, with its hint, or what was wrong with it. */
export function Field(props: {
  name: string;
  label: string;
  value: string;
  hint: string;
  error: string | undefined;
  set(value: string): void;
  readOnly?: boolean;
  required?: boolean;
  /** What may have several lines, which an input would take out. */
  lines?: boolean;
  secret?: boolean;
}) {
  const { name, label, value, hint, error, set, readOnly = false, required = false, lines, secret } = props;
  const shared = {
    ...{ id: name, name, value, readOnly, required },
    class: `${readOnly ? 'form-control-plaintext' : 'form-control'} ${error ? 'is-invalid' : ''}`,
    ...{ autocapitalize: 'off' as const, spellcheck: false },
    // What the browser has kept of its user is nobody's secret here.
    autocomplete: secret ? 'new-password' : 'off',
    'aria-invalid': error !== undefined,
    'aria-describedby': `${name}-help`,
  };
  return (
    <div class="mb-3">
      <label class="form-label" for={name}>
        {label}
      </label>
      {lines ? (
        <textarea
          {...shared}
          rows={Math.min(12, value.split('\n').length)}
          onInput={(event) => set(event.currentTarget.value)}
        />
      ) : (
        <input
          {...shared}
          type={secret ? 'password' : 'text'}
          onInput={(event) => set(event.currentTarget.value)}
        />
      )}
      <div id={`${name}-help`} class={error ? 'invalid-feedback' : 'form-text'}>
        {error ?? hint}
      </div>
    </div>
  );
}
