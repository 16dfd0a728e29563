/** What one trial showed. */
import type { AccessCase } from './case.ts';

export type Result =
  /** Every byte is the file's. */
  | 'right'
  /** Bytes that are not the file's were seen or left behind. */
  | 'wrong'
  /** An error, and no wrong byte. */
  | 'refused'
  /** It took longer than its time limit. */
  | 'hung'
  /** This machine, or this user's rights, do not allow it. */
  | 'unavailable'
  /** Right, but no stub was touched: it proves nothing. */
  | 'untested';

export interface Verdict {
  readonly result: Result;
  /** Null when it is right. */
  readonly reason: string | null;
}

/** How a script went. */
export interface Shown {
  /** Null: it was killed. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly expected: Buffer;
  /** What the file holds afterwards, each time it was read, and what it should; null: not looked at. `error`: it could not be read. */
  readonly left: { readonly seen: readonly Buffer[]; readonly expected: Buffer; readonly original: Buffer; readonly error?: string } | null;
  /** Whether the file was a stub before and after. */
  readonly stub: { readonly before: boolean; readonly after: boolean };
}

const unavailable = 77;

export function judge(each: Pick<AccessCase, 'recalls'>, shown: Shown): Verdict {
  const { exitCode, stdout, expected, left, stub } = shown;
  if (shown.timedOut) return { result: 'hung', reason: 'it did not end within its time limit' };
  const allowed = exitCode === 0 ? stdout.equals(expected) : expected.subarray(0, stdout.length).equals(stdout);
  if (!allowed) return { result: 'wrong', reason: difference('it read', stdout, expected) };
  if (exitCode === unavailable) return { result: 'unavailable', reason: lastLine(shown.stderr) };
  for (const seen of left?.seen ?? []) {
    const good = left?.expected.equals(seen) === true || (exitCode !== 0 && left?.original.equals(seen) === true);
    if (left !== null && !good) return { result: 'wrong', reason: difference('the file now holds', seen, left.expected) };
  }
  if (exitCode !== 0) return { result: 'refused', reason: lastLine(shown.stderr) };
  if (left?.error !== undefined) return { result: 'refused', reason: `afterwards ${left.error}` };
  if (!stub.before) return { result: 'untested', reason: 'the file was not a stub' };
  if (stub.after && (each.recalls ?? true)) return { result: 'untested', reason: 'the file is still a stub' };
  if (!stub.after && each.recalls === false) return { result: 'untested', reason: 'the file was recalled, though nothing should have' };
  return { result: 'right', reason: null };
}

/** What the case's table says. */
export const isExpected = (each: Pick<AccessCase, 'refused'>, { result }: Verdict): boolean => result === (each.refused === undefined ? 'right' : 'refused');

function difference(what: string, seen: Buffer, expected: Buffer): string {
  const length = Math.min(seen.length, expected.length);
  let at = 0;
  while (at < length && seen[at] === expected[at]) at += 1;
  if (at === length) return `${what} ${seen.length} bytes instead of ${expected.length}`;
  const zeros = seen.subarray(at, at + 512).every((byte) => byte === 0);
  return `${what} ${zeros ? 'zeros' : 'wrong bytes'} from offset ${at} of ${expected.length}`;
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
