/** The event log, with somebody who hears what is written into it. */
import type { Catalog } from '../catalog/model.ts';

export type EventListener = (kind: string, uid: number | null, data: unknown) => void;

/** `listener` is told before the event is written: also of those that a full disk keeps out of the log. */
export function overheard(catalog: Catalog, listener: EventListener): Catalog {
  return {
    ...catalog,
    logEvent: (kind, uid, data) => {
      listener(kind, uid, data);
      return catalog.logEvent(kind, uid, data);
    },
  };
}
