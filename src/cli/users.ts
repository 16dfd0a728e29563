/** Users by name and number, from /etc/passwd. */
import { readFileSync } from 'node:fs';
import { usageError } from '../errors.ts';

/** Those that it does not know are their number. */export function userNames(text: string = passwd()): (uid: number) => string {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , uid] = line.split(':');
    if (name !== undefined && uid !== undefined && !names.has(Number(uid))) names.set(Number(uid), name);
  }
  return (uid) => names.get(uid) ?? String(uid);
}

/** Of a name or a number. */
export function uidOf(user: string, text: string = passwd()): number {
  if (/^\d{1,10}$/.test(user)) return Number(user);
  const line = text.split('\n').find((each) => each.startsWith(`${user}:`));
  if (line === undefined) throw usageError(`/etc/passwd has no user ${user}: give the number`);
  return Number(line.split(':')[2]);
}

function passwd(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8');
  } catch {
    return '';
  }
}
