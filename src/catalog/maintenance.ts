/** Work over the whole catalogue, on a thread with a connection of its own: it takes seconds, and the event loop has none. */
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { HsmError } from '../errors.ts';

export type Task =
  | { readonly kind: 'dump'; readonly path: string; readonly target: string }
  | { readonly kind: 'check'; readonly path: string }
  | { readonly kind: 'superseded'; readonly path: string; readonly filesystem: number };

/** What the thread answers: the lines of a check, inodes as text, or an error taken apart, for classes do not cross threads. */
export type Answer = { readonly lines: string[] } | { readonly error: { readonly code: string; readonly message: string } };

/** Runs one task to its end; resolves with the lines of a check, or inodes as text (none for a dump). */
export async function maintain(task: Task): Promise<string[]> {
  const answer = await runInThread(task);
  if ('lines' in answer) return answer.lines;
  throw new HsmError(answer.error.code, answer.error.message, { path: task.path, retry: answer.error.code === 'ENOSPC' ? 'later' : 'never' });
}

function runInThread(task: Task): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(threadFile(), { workerData: task, resourceLimits: { maxOldGenerationSizeMb: 32 } });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new HsmError('INTERNAL', `the catalogue's ${task.kind} stopped without an answer (exit ${code})`)));
  });
}

/** The same module as TypeScript in the source tree and as JavaScript in dist. */
function threadFile(): URL {
  const source = new URL('./maintenance-thread.ts', import.meta.url);
  return existsSync(source) ? source : new URL('./maintenance-thread.js', import.meta.url);
}
