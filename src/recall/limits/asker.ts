/** Who is behind an event, from /proc. */
import { readFileSync } from 'node:fs';
import type { StubEvent } from '../keeper-client.ts';
import type { Asker } from './rules.ts';

/** What a process that is gone would have said is left empty. */
export function askerOf({ pid, uid, exe }: Pick<StubEvent, 'pid' | 'uid' | 'exe'>): Asker {
  const status = read(`/proc/${pid}/status`);
  const gid = /^Gid:\s+\d+\s+(\d+)/m.exec(status)?.[1];
  const groups = /^Groups:\s*(.*)$/m.exec(status)?.[1]?.split(' ').filter(Boolean) ?? [];
  return {
    uid,
    gids: [...(gid === undefined ? [] : [gid]), ...groups].map(Number),
    exe,
    comm: read(`/proc/${pid}/comm`).trimEnd(),
    cgroup: /^0::(.*)$/m.exec(read(`/proc/${pid}/cgroup`))?.[1] ?? '',
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
