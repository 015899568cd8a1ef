import type { Event, Events } from './events.ts';

/** Events within one process: listeners are called in order, at once. */
export function eventBus(): Events {
  const listeners = new Set<(event: Event) => void>();
  return {
    emit(event) {
      for (const listener of [...listeners]) listener(event);
    },
    on(see) {
      listeners.add(see);
      return () => listeners.delete(see);
    },
  };
}
