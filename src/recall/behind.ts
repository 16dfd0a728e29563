/** Readers of files whose cancelled recall is being undone: each is looked at again when that is through. */
import { closeSync } from 'node:fs';
import type { StubEvent } from './keeper-client.ts';
import type { RecallRequest } from './requests.ts';

export class Behind {
  readonly #events = new Map<RecallRequest, StubEvent[]>();

  add(request: RecallRequest, event: StubEvent): void {
    const events = this.#events.get(request);
    if (events === undefined) this.#events.set(request, [event]);
    else events.push(event);
  }

  /** All of them, once. */
  take(request: RecallRequest): readonly StubEvent[] {
    const events = this.#events.get(request) ?? [];
    this.#events.delete(request);
    return events;
  }

  /** The reader died. */
  gone(id: number): void {
    for (const events of this.#events.values()) {
      const index = events.findIndex((event) => event.id === id);
      if (index < 0) continue;
      for (const { fd } of events.splice(index, 1)) closeSync(fd);
    }
  }
}
