/** The one place that turns an error into a line for a person, an object for a script, and an exit code. */
import { getSystemErrorMessage } from 'node:util';
import { errorCode, type ExitCode, exitCodes, HsmError } from '../errors.ts';
import { jsonLine } from './output.ts';
import { oneLine } from './printable.ts';

/** Writes `hsm: message`, or with json `{"error": {code, message, path}}`, to stderr. A stack is shown for bugs only. */
export function report(error: unknown, json: boolean): ExitCode {
  const message = oneLine(describe(error));
  if (json) process.stderr.write(`${jsonLine({ error: { code: errorCode(error), message, path: pathOf(error) } })}\n`);
  else process.stderr.write(`hsm: ${message}\n${isBug(error) ? `${(error as Error).stack ?? ''}\n` : ''}`);
  return error instanceof HsmError ? error.exit : exitCodes.failed;
}

/** One line: what failed, on what, why. */
export function describe(error: unknown): string {
  if (error instanceof HsmError) return error.message;
  if (!isErrno(error)) return `internal error: ${error instanceof Error ? error.message : String(error)}`;
  const what = [error.syscall ?? 'a system call', pathOf(error)].filter((each) => each !== null).join(' ');
  return `${what} failed: ${getSystemErrorMessage(-Math.abs(error.errno))} (${error.code})`;
}

interface ErrnoError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall?: string;
}

const isErrno = (error: unknown): error is ErrnoError => error instanceof Error && 'errno' in error && typeof error.errno === 'number' && 'code' in error;

const isBug = (error: unknown): boolean => error instanceof Error && !(error instanceof HsmError) && !isErrno(error);

function pathOf(error: unknown): string | null {
  const path = error instanceof Error && 'path' in error ? error.path : undefined;
  if (typeof path === 'string') return path;
  return Buffer.isBuffer(path) ? path.toString() : null;
}
