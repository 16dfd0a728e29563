/** Runs one script of the suite as its user, and ends it with all its children when it takes too long. */
import { execa } from 'execa';
import type { User } from './case.ts';

export interface Ran {
  /** Null: it was killed. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface Where {
  readonly user: User;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** In a mount namespace of its own: what it mounts goes away with it. */
  readonly asRoot: boolean;
  readonly limitMs: number;
}

export async function runScript(script: string, { user, folder, environment, asRoot, limitMs }: Where): Promise<Ran> {
  const shell = ['sh', '-ec', script];
  const [program = '', ...words] = asRoot ? ['unshare', '--mount', '--propagation', 'private', ...shell] : shell;
  const child = execa(program, words, {
    cwd: folder,
    env: environment,
    extendEnv: false,
    ...(asRoot ? {} : { uid: user.uid, gid: user.gid }),
    stdin: 'ignore',
    encoding: 'buffer',
    stripFinalNewline: false,
    maxBuffer: 2 ** 26,
    reject: false,
    // A process group of its own, to be ended as a whole.
    detached: true,
    cleanup: true,
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, limitMs);
  const { exitCode, stdout, stderr } = await child;
  clearTimeout(timer);
  return { exitCode: exitCode ?? null, timedOut, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr).toString() };
}
