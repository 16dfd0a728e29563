import type { Recaller } from '../recall/recaller.ts';

/** How often the queue is looked at, ms. */
const between = 200;

/** Resolves when no recall that was queued may still want to read the volume, or `signal` is aborted. */
export async function unread(recaller: Pick<Recaller, 'wants'>, barcode: string, signal: AbortSignal): Promise<void> {
  while (recaller.wants(barcode) && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, between));
}
