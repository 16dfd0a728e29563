/** A hook that is a URL: the event is posted to it as JSON. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { HsmError } from '../../errors.ts';
import type { Hook, HookMessage } from './hooks.ts';

export interface WebhookSettings {
  readonly url: string;
  /** Its content is the bearer token; read each time, so that it can be changed. */
  readonly secretFile: string | null;
  /** Of one try. */
  readonly timeoutMs: number;
  /** After the first try. */
  readonly retries: number;
  /** Before the first of them; each further one waits four times as long. */
  readonly pauseMs?: number;
}

export function webhook({ url, secretFile, timeoutMs, retries, pauseMs = 1000 }: WebhookSettings): Hook {
  const post = async (message: HookMessage, signal: AbortSignal): Promise<HsmError | null> => {
    const token = secretFile === null ? null : (await readFile(secretFile, { encoding: 'utf8', signal })).trim();
    // What fetch would say of it shows it.
    if (token !== null && !/^[\x21-\x7e]+$/.test(token)) return new HsmError('CONFIG', `${secretFile} must hold one line of plain characters`, { retry: 'never' });
    const headers = { 'content-type': 'application/json', 'user-agent': 'hsm', ...(token === null ? {} : { authorization: `Bearer ${token}` }) };
    const limit = AbortSignal.timeout(timeoutMs);
    try {
      // A redirection would take the token elsewhere.
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(message), redirect: 'error', signal: AbortSignal.any([limit, signal]) });
      await response.body?.cancel();
      if (response.ok) return null;
      return new HsmError('EIO', `it answered ${response.status}`, { retry: response.status >= 500 || response.status === 429 || response.status === 408 ? 'later' : 'never' });
    } catch (error) {
      if (limit.aborted) return new HsmError('ETIMEDOUT', `it took more than ${timeoutMs / 1000} s`, { retry: 'later' });
      const { cause, message: text } = error as Error;
      return new HsmError('EIO', `it cannot be reached: ${cause instanceof Error ? cause.message : text}`, { retry: 'later', cause: error });
    }
  };
  return {
    name: 'webhook',
    run: async (message, signal) => {
      for (let tried = 0; ; tried += 1) {
        const failure = await post(message, signal);
        if (failure === null) return;
        if (failure.retry !== 'later' || tried >= retries) throw failure;
        await sleep(pauseMs * 4 ** tried, null, { signal });
      }
    },
  };
}
