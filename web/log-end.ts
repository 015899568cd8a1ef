import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** Who is so near to the end of the log is taken along with it. */
const nearEndPixels = 40;

/** Of a box that scrolls, where it stands. */
type Scrolled = Pick<Element, 'scrollHeight' | 'scrollTop' | 'clientHeight'>;

/**
 * Takes a reader who is at the end of a box along as it grows, and leaves who has scrolled up where they read. Gives what the box is to call
 * when it was scrolled. A new `of` is another thing to read, and who reads it is at its end; `held` is what the box shows of it, and null
 * where there is no box, or another place to be at.
 */
export function useEnd(box: RefObject<Scrolled>, of: string, held: string | null): () => void {
  const reading = useRef({ of, atEnd: true, put: 0 });
  if (reading.current.of !== of) reading.current = { of, atEnd: true, put: 0 };
  // A browser tells of a scroll a frame late, and by then the box may have grown: only who is above where they were put has gone up.
  useLayoutEffect(() => {
    const [pre, now] = [box.current, reading.current];
    if (pre === null || held === null || !now.atEnd) return;
    pre.scrollTop = pre.scrollHeight;
    now.put = pre.scrollTop;
  }, [box, of, held]);
  return () => {
    const [pre, now] = [box.current, reading.current];
    if (pre === null) return;
    const nearEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < nearEndPixels;
    if (nearEnd) now.atEnd = true;
    else if (pre.scrollTop < now.put) now.atEnd = false;
  };
}
