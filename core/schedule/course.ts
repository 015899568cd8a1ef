/**
 * The course's library counts fields otherwise: six are minute to weekday and year, seven have seconds first and
 * year last; five and the short names are as here.
 */
export function parseCourseExpression(text: string): string {
  const words = text.trim().split(/\s+/);
  return words.length === 6 ? `0 ${words.join(' ')}` : words.join(' ');
}
