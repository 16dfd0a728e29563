/** Calls the hooks on events. They never hold the daemon up and never fail it: what goes wrong is in the log. */
import { hostname } from 'node:os';
import type { Config } from '../../config.ts';
import { errorCode, HsmError } from '../../errors.ts';
import type { Log } from '../../recall/recaller-options.ts';
import { commandHook } from './command.ts';
import { classified, type HookClass, type HookEvent, type HookTrigger } from './triggers.ts';
import { webhook } from './webhook.ts';

/** What hooks are told, as JSON. */
export interface HookMessage {
  readonly event: HookEvent | 'test';
  readonly class: HookClass | 'test';
  /** ISO 8601. */
  readonly at: string;
  readonly host: string;
  readonly data: unknown;
}

export interface Hook {
  readonly name: 'command' | 'webhook';
  /** Fails with `ETIMEDOUT` when it took too long, else with what went wrong. `signal` ends it. */
  run(message: HookMessage, signal: AbortSignal): Promise<void>;
}

export interface HookResult {
  readonly hook: Hook['name'];
  readonly result: 'ok' | 'failed' | 'timeout';
  readonly reason: string | null;
  readonly seconds: number;
}

export interface HooksOptions {
  readonly hooks: readonly Hook[];
  readonly on: readonly HookTrigger[];
  readonly atOnce: number;
  readonly log: Log;
  /** `dropped`: too many waited. */
  readonly onEnd: (hook: Hook['name'], result: HookResult['result'] | 'dropped') => void;
}

const mostWaiting = 100;

export function openHooks({ file, hooks: settings }: Pick<Config, 'file' | 'hooks'>, log: Log, onEnd: HooksOptions['onEnd']): Hooks {
  const hooks: Hook[] = [];
  if (settings.command.length > 0) hooks.push(commandHook({ command: settings.command, timeoutMs: settings.timeoutS * 1000, configFile: file }));
  if (settings.webhook !== null) hooks.push(webhook({ url: settings.webhook, secretFile: settings.webhookSecretFile, timeoutMs: settings.timeoutS * 1000, retries: settings.retries }));
  return new Hooks({ hooks, on: settings.on, atOnce: settings.atOnce, log, onEnd });
}

export class Hooks {
  readonly #options: HooksOptions;
  readonly #waiting: { readonly hook: Hook; readonly message: HookMessage }[] = [];
  readonly #stopped = new AbortController();
  #running = 0;

  constructor(options: HooksOptions) {
    this.#options = options;
  }

  /** An event of the event log; returns at once. */
  happened(kind: string, uid: number | null, data: unknown): void {
    const { hooks, log, on, onEnd } = this.#options;
    const known = classified(kind, uid);
    if (known === null || (!on.includes(known.event) && !on.includes(known.class))) return;
    const message = { ...known, at: new Date().toISOString(), host: hostname(), data };
    for (const hook of hooks) {
      if (this.#waiting.length < mostWaiting) this.#waiting.push({ hook, message });
      else {
        onEnd(hook.name, 'dropped');
        log.warn({ hook: hook.name, event: known.event }, 'a hook was not called: too many wait');
      }
    }
    this.#next();
  }

  /** Calls all hooks now, beside those that wait. */
  async test(): Promise<HookResult[]> {
    const { hooks } = this.#options;
    if (hooks.length === 0) throw new HsmError('CONFIG', 'no hook is configured: set hooks.command or hooks.webhook, and restart the daemon');
    const message: HookMessage = { event: 'test', class: 'test', at: new Date().toISOString(), host: hostname(), data: null };
    return Promise.all(hooks.map((hook) => this.#call(hook, message)));
  }

  /** Ends what runs; nothing is called any more. */
  stop(): void {
    this.#waiting.length = 0;
    this.#stopped.abort();
  }

  #next(): void {
    while (this.#running < this.#options.atOnce && this.#waiting.length > 0 && !this.#stopped.signal.aborted) {
      const { hook, message } = this.#waiting.shift()!;
      this.#running += 1;
      void this.#call(hook, message).then(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #call(hook: Hook, message: HookMessage): Promise<HookResult> {
    const { log, onEnd } = this.#options;
    const begin = performance.now();
    let result: HookResult['result'] = 'ok';
    let reason: string | null = null;
    try {
      await hook.run(message, this.#stopped.signal);
    } catch (error) {
      result = errorCode(error) === 'ETIMEDOUT' ? 'timeout' : 'failed';
      reason = error instanceof Error ? error.message : String(error);
      log.warn({ hook: hook.name, event: message.event, reason }, 'a hook failed');
    }
    onEnd(hook.name, result);
    return { hook: hook.name, result, reason, seconds: (performance.now() - begin) / 1000 };
  }
}
