export interface Variable {
  name: string;
  value: string;
}

const quoted =
  /^\s*(?:"([^"=]*)"|'([^'=]*)'|([^\s="'][^\s=]*))\s*=\s*(?:"([^"]*)"\s*|'([^']*)'\s*|((?!["']).*?)\s*)$/s;

/**
 * A variable's line, or null where the line is something else. As crontab(5) has it: spaces around `=` are left out, either side may
 * be quoted to keep its own, nothing is expanded, and a `#` is no comment. Unlike Debian's cron it takes `NAME=` for an empty value.
 */
export function readVariable(line: string): Variable | null {
  const parts = quoted.exec(line);
  if (parts === null) return null;
  const [, double, single, bare, ...values] = parts;
  return { name: double ?? single ?? bare ?? '', value: values.find((text) => text !== undefined) ?? '' };
}

/** The line that readVariable reads as this; null: there is none. */
export function writeVariable({ name, value }: Variable): string | null {
  const tries = [`${name}=${value}`, `${name}="${value}"`, `${name}='${value}'`];
  // Without quotes wherever that will do, but for the empty value, which only quotes say to every cron.
  if (value === '') tries.shift();
  return (
    tries.find((line) => {
      const back = /[\n\r]/.test(line) ? null : readVariable(line);
      return back?.name === name && back.value === value;
    }) ?? null
  );
}
