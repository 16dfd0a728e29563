/** Who operates hsm besides root: the members of the group `hsm`. */
import { readFileSync } from 'node:fs';

/** The gid of the group `hsm`, or null. */
export function operatorGroup(): number | null {
  try {
    const line = readFileSync('/etc/group', 'utf8')
      .split('\n')
      .find((each) => each.startsWith('hsm:'));
    return line === undefined ? null : Number(line.split(':')[2]);
  } catch {
    return null;
  }
}
