/** Work over the whole catalogue, on a thread with a connection of its own: it takes seconds, and the event loop has none. */
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { HsmError } from '../errors.ts';

export type Task =
  | {
      readonly kind: 'dump';
      readonly path: string;
      readonly target: string;
      /** False: the copy may be lost with the power. */
      readonly durable: boolean;
    }
  | { readonly kind: 'check'; readonly path: string }
  | { readonly kind: 'superseded'; readonly path: string; readonly filesystem: number };

/** What the thread answers: the lines of a check, inodes as text, or an error taken apart, for classes do not cross threads. */
export type Answer = { readonly lines: string[] } | { readonly error: { readonly code: string; readonly message: string } };

/** A thread for one task. It gets ready by itself and keeps nothing alive until it has the task. */
export class MaintenanceThread {
  readonly #worker: Worker;
  readonly #failed: Promise<never>;

  constructor() {
    this.#worker = new Worker(threadFile(), { resourceLimits: { maxOldGenerationSizeMb: 32 } });
    this.#failed = new Promise((_, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('exit', (code) => reject(new HsmError('INTERNAL', `a thread of the catalogue stopped without an answer (exit ${code})`)));
    });
    this.#failed.catch(() => undefined);
    this.#worker.unref();
  }

  /** Resolves with the lines of a check, or inodes as text (none for a dump). */
  async run(task: Task): Promise<string[]> {
    this.#worker.ref();
    const answered = new Promise<Answer>((resolve) => this.#worker.once('message', resolve));
    this.#worker.postMessage(task);
    const answer = await Promise.race([answered, this.#failed]);
    if ('lines' in answer) return answer.lines;
    throw new HsmError(answer.error.code, answer.error.message, { path: task.path, retry: answer.error.code === 'ENOSPC' ? 'later' : 'never' });
  }

  /** For a thread whose task does not come; a task under way is cut short. */
  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The same module as TypeScript in the source tree and as JavaScript in dist. */
function threadFile(): URL {
  const source = new URL('./maintenance-thread.ts', import.meta.url);
  return existsSync(source) ? source : new URL('./maintenance-thread.js', import.meta.url);
}
