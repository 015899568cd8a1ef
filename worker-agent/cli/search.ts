import type * as v from 'valibot';
import type { Found as FoundAnswer } from '#functions/answers.ts';
import type { Context } from './command.ts';
import { timeText } from './views.ts';

type Found = v.InferOutput<typeof FoundAnswer>;
export type FoundLine = Found['lines'][number];

/**
 * Searches a job's logs on and on, until all is read or `most` lines are found, which are told as they come; gives whether that is all.
 * Where it stops short it says on stderr how far it came.
 */
export async function search(
  context: Context,
  path: string,
  query: Readonly<Record<string, string>>,
  most: number,
  tell: (lines: FoundLine[]) => void,
): Promise<boolean> {
  const { terminal, onInterrupt } = context;
  const api = context.api();
  let left = most;
  let reached: string | null = null;
  for (let cursor: string | undefined; ; ) {
    let page: Found;
    try {
      page = (await api.get(`${path}/search`, { ...query, cursor })) as Found;
    } catch (error) {
      if (reached !== null) terminal.note(reached);
      throw error;
    }
    const lines = page.lines.slice(0, left);
    if (lines.length > 0) tell(lines);
    left -= lines.length;
    const isAll = page.complete && lines.length === page.lines.length;
    // Servers of before can't be asked to go on.
    if (isAll || left === 0 || !page.next) {
      onInterrupt(null);
      if (left === 0 && !isAll)
        terminal.note(`--limit ${most} is reached, in ${lines.at(-1)?.run}: there may be more`);
      else if (!isAll) terminal.note('there is more than was read: fewer --days, or another text');
      return isAll;
    }
    cursor = page.next;
    reached = `it is searched back into the run of ${timeText(page.reachedAt)}; what is older is not`;
    onInterrupt(reached);
  }
}
