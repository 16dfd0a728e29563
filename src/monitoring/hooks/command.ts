/** A hook that is a program: the event as JSON on its standard input, the main of it in its environment. No shell is involved. */
import { spawn } from 'node:child_process';
import { errorCode, HsmError } from '../../errors.ts';
import type { Hook, HookMessage } from './hooks.ts';

export interface CommandSettings {
  /** Absolute path and arguments. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
  readonly configFile: string;
}

/** spawn() returns when the child has begun its program. Were that a stub, the daemon would wait for itself: env waits for it instead. */
const starter = '/usr/bin/env';
const keptComplaint = 500;
const longestValue = 1000;

export function commandHook({ command, timeoutMs, configFile }: CommandSettings): Hook {
  return {
    name: 'command',
    run: (message, signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const child = spawn(starter, ['--', ...command], { cwd: '/', detached: true, env: { ...environmentOf(message), HSM_CONFIG: configFile }, stdio: ['pipe', 'ignore', 'pipe'] });
        child.once('error', reject);
        // Out of processes or descriptors: there are no pipes either.
        if (child.pid === undefined) return;
        const group = -child.pid;
        let complaint = '';
        let late = false;
        // What it started dies with it, unless it left the process group.
        const kill = (): void => {
          try {
            process.kill(group, 'SIGKILL');
          } catch (error) {
            if (errorCode(error) !== 'ESRCH') reject(new HsmError(errorCode(error), 'it could not be killed', { cause: error }));
          }
        };
        const timer = setTimeout(() => {
          late = true;
          kill();
        }, timeoutMs);
        signal.addEventListener('abort', kill, { once: true });
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          complaint = `${complaint}${text}`.slice(0, keptComplaint);
        });
        // One that does not read its input is free not to.
        child.stdin.on('error', () => undefined);
        child.stdin.end(`${JSON.stringify(message)}\n`);
        child.once('exit', (code, killedBy) => {
          clearTimeout(timer);
          signal.removeEventListener('abort', kill);
          // What it left running may hold the other end for ever.
          child.stderr.destroy();
          if (code === 0) resolve();
          else if (late) reject(new HsmError('ETIMEDOUT', `it took more than ${timeoutMs / 1000} s and was killed`));
          else reject(new HsmError('EIO', `it ended with ${code ?? killedBy}${complaint === '' ? '' : `: ${complaint.trim().split('\n')[0]}`}`));
        });
      }),
  };
}

/** `HSM_EVENT`, `HSM_EVENT_CLASS`, `HSM_EVENT_AT` and a variable for each plain value in the event's data. */
export function environmentOf({ event, class: its, at, data }: HookMessage): Record<string, string> {
  const environment: Record<string, string> = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };
  if (typeof data === 'object' && data !== null) {
    for (const [key, value] of Object.entries(data)) {
      const name = key.replace(/[A-Z]/g, '_$&').toUpperCase();
      if (/^[A-Z_]+$/.test(name) && ['string', 'number', 'boolean'].includes(typeof value)) environment[`HSM_EVENT_${name}`] = String(value).replaceAll('\0', '').slice(0, longestValue);
    }
  }
  return { ...environment, HSM_EVENT: event, HSM_EVENT_CLASS: its, HSM_EVENT_AT: at };
}
