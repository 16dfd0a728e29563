/** The one error type of hsm: a stable code, one line for a person, and what a caller may do about it. */

/** Documented exit codes of every command (docs/operations.md). */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  partial: 3,
  noDaemon: 4,
  refused: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What a caller may do: nothing, the same again later, or the same with another copy of the object. */
export type Retry = 'never' | 'later' | 'other-copy';

export interface HsmErrorOptions {
  readonly retry?: Retry;
  readonly exit?: ExitCode;
  readonly path?: string;
  readonly cause?: unknown;
}

/**
 * An expected failure. `code` is an errno name (`ENOSPC`, `EIO`) or one of hsm's own (`USAGE`, `CONFIG`,
 * `NO_DAEMON`, `REFUSED`, `NOT_MANAGED`, `BAD_RECORD`, `HASH_MISMATCH`, `NO_VOLUME`, ...); nothing matches on the message.
 */
export class HsmError extends Error {
  readonly code: string;
  readonly retry: Retry;
  readonly exit: ExitCode;
  readonly path: string | undefined;

  constructor(code: string, message: string, options: HsmErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HsmError';
    this.code = code;
    this.retry = options.retry ?? 'never';
    this.exit = options.exit ?? exitCodes.failed;
    this.path = options.path;
  }
}

export const usageError = (message: string): HsmError => new HsmError('USAGE', message, { exit: exitCodes.usage });

export const refusal = (message: string, path?: string): HsmError =>
  new HsmError('REFUSED', message, { exit: exitCodes.refused, ...(path === undefined ? {} : { path }) });

/** The `code` of any thrown value: ours, Node's errno errors, or `INTERNAL`. */
export function errorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'INTERNAL';
}
