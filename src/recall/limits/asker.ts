/** Who is behind an event, from /proc. */
import { readFileSync } from 'node:fs';
import type { StubEvent } from '../keeper-client.ts';
import type { Asker } from './rules.ts';

/** Read when a rule asks for it; what a process that is gone would have said is empty. */
export function askerOf({ pid, uid, exe }: Pick<StubEvent, 'pid' | 'uid' | 'exe'>): Asker {
  const comm = once(() => read(`/proc/${pid}/comm`).trimEnd());
  const gids = once(() => groupsIn(read(`/proc/${pid}/status`)));
  const cgroup = once(() => /^0::(.*)$/m.exec(read(`/proc/${pid}/cgroup`))?.[1] ?? '');
  return {
    uid,
    exe,
    get comm() {
      return comm();
    },
    get gids() {
      return gids();
    },
    get cgroup() {
      return cgroup();
    },
  };
}

/** Its own and its further ones. */
function groupsIn(status: string): readonly number[] {
  const gid = /^Gid:\s+\d+\s+(\d+)/m.exec(status)?.[1];
  const groups = /^Groups:\s*(.*)$/m.exec(status)?.[1]?.split(' ').filter(Boolean) ?? [];
  return [...(gid === undefined ? [] : [gid]), ...groups].map(Number);
}

function once<T>(look: () => T): () => T {
  let seen: { readonly value: T } | null = null;
  return () => (seen ??= { value: look() }).value;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
