import type { BenchTable } from '#test/bench/bench.ts';

/** A table as Markdown; columns that no row fills are left out. */
export function tableText({ title, rows }: BenchTable): string {
  const columns = [
    { head: title, of: rows.map(({ name }) => name) },
    { head: 'cronfleet', of: rows.map(({ value }) => value) },
    { head: 'beside', of: rows.map(({ yardstick }) => yardstick ?? '') },
    { head: 'ratio', of: rows.map(({ ratio }) => ratio ?? '') },
  ].filter(({ of }, at) => at < 2 || of.some(Boolean));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const body = rows.map((_, row) => line(columns.map(({ of }) => of[row] ?? '')));
  return [line(columns.map(({ head }) => head)), line(columns.map(() => '---')), ...body].join('\n');
}

/**
 * `page` with a bench's table put between its markers `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`. Where they are not there
 * yet they are added at the end of the section `## Performance`, which is made at the page's end if need be.
 */
export function putTable(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const block = `${begin}\n${text}\n${end}`;
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from >= 0 && to > from) return page.slice(0, from) + block + page.slice(to + end.length);
  if (from >= 0 || to >= 0)
    throw new Error(`README: expected ${begin} before ${end}, found only one, or the other way round`);
  const heading = /^## Performance$/m.exec(page);
  if (heading === null) return `${page.trimEnd()}\n\n## Performance\n\n${block}\n`;
  const after = heading.index + heading[0].length;
  const next = page.slice(after).search(/^## /m);
  const at = next < 0 ? page.length : after + next;
  return `${`${page.slice(0, at).trimEnd()}\n\n${block}\n\n${page.slice(at)}`.trimEnd()}\n`;
}
