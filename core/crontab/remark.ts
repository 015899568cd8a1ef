/** The comment lines right above an entry, as they stand, `#` and all. */
export type Remark = string[];

const mostLines = 3;
/** Marks what formatCrontab says itself. */
export const own = '#: ';
/** An entry that was taken out, or the head of the columns. */
const noRemark =
  /^#+\s*(?:@\w+\s|[\d*][^\s]*\s+[^\s]+\s+[^\s]+\s+[^\s]+\s+[^\s]+\s|m\s+h\s|minute\s+hour\s)/i;

/** What a job's description takes of the comment right above its line: a short one, which speaks of that line and not of the file. */
export function remarkOf(lines: Remark): string {
  const last = lines.findLastIndex((line) => noRemark.test(line) || line.startsWith(own.trim()));
  const texts = lines.slice(last + 1).map((line) => line.replace(/^#+[ \t]?/, '').trimEnd());
  if (texts.length > mostLines || texts.some((text) => text === '')) return '';
  const text = texts.join('\n');
  return text.length > 4_096 ? '' : text;
}

/** The comment that remarkOf reads as this description; none where it would read something else. */
export function remarkLines(description: string): Remark {
  const lines = description.split('\n').map((line) => `# ${line}`);
  return description !== '' && remarkOf(lines) === description ? lines : [];
}
