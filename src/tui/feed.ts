/** The line to the daemon: watches it, asks it, and finds it again when it was away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Client } from '../daemon/client.ts';
import type { WatchRow } from '../daemon/protocol.ts';
import { errorCode, HsmError } from '../errors.ts';
import type { LiveMirror } from './mirror.ts';
import type { Call } from './model.ts';

const retryMs = 500;
const greetingMs = 10_000;
/** Requests of one action under way at a time; the daemon serves 32 of a connection, and the watch is one. */
const callsAtOnce = 16;

export class Feed {
  readonly #path: string;
  readonly #mirror: LiveMirror;
  readonly #changed: () => void;
  readonly #ended = new AbortController();
  #client: Client | null = null;

  /** `changed` is called after each round of changes, and when the daemon comes or goes. */
  constructor(path: string, mirror: LiveMirror, changed: () => void) {
    this.#path = path;
    this.#mirror = mirror;
    this.#changed = changed;
  }

  /** Runs until close(). Fails only when what answers can never be watched: another version of the protocol, or no access. */
  async run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#watch();
      } catch (error) {
        if (this.#ended.signal.aborted) return;
        if (['PROTOCOL', 'UNKNOWN_METHOD', 'EACCES'].includes(errorCode(error))) throw error;
        this.#mirror.lost((error as Error).message);
        this.#changed();
      }
      await sleep(retryMs, null, { signal: this.#ended.signal }).catch(() => null);
    }
  }

  /** Sends all of them; fails with the first error once all are answered. */
  async call(calls: readonly Call[]): Promise<void> {
    const client = this.#client;
    if (client === null) throw new HsmError('NO_DAEMON', 'the daemon is away: nothing was done');
    let failed: Error | null = null;
    for (let at = 0; at < calls.length; at += callsAtOnce) {
      const results = await Promise.allSettled(calls.slice(at, at + callsAtOnce).map(({ method, params }) => client.call(method, params)));
      failed ??= results.find((each) => each.status === 'rejected')?.reason as Error | null ?? null;
    }
    if (failed !== null) throw failed;
  }

  close(): void {
    this.#ended.abort();
    this.#client?.close();
  }

  async #watch(): Promise<void> {
    const client = await connect(this.#path, greetingMs);
    this.#client = client;
    try {
      const row = (each: unknown): void => {
        if (this.#mirror.take(each as WatchRow)) this.#changed();
      };
      await client.call('watch', {}, { row });
    } finally {
      this.#client = null;
      client.close();
    }
  }
}
