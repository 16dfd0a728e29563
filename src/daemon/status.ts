/** The object of `hsm status --json`. */
import type { FileState } from '../catalog/model.ts';
import { version } from '../version.ts';
import type { Daemon } from './daemon.ts';

export interface Status {
  readonly daemon: { readonly pid: number; readonly startedAt: string; readonly version: string };
  readonly keeper: { readonly pid: number };
  readonly filesystems: readonly ({
    readonly path: string;
    readonly type: string;
    readonly guard: 'pre-access' | 'open-only';
    readonly stubs: number;
  } & Partial<Record<FileState, number>>)[];
  readonly recalls: { readonly queued: number; readonly active: number; readonly failed: number };
  readonly drives: readonly object[];
  readonly volumes: readonly object[];
}

export async function statusOf({ catalog, drives, filesystems, guard, recaller, startedAt }: Daemon): Promise<Status> {
  return {
    daemon: { pid: process.pid, startedAt: startedAt.toISOString(), version },
    keeper: { pid: process.ppid },
    filesystems: await Promise.all(
      filesystems.map(async ({ id, path, type }) => {
        const counts = await catalog.countStates(id);
        return { path, type, guard, stubs: counts.stub, archived: counts.archived, recalling: counts.recalling };
      }),
    ),
    recalls: recaller.counts(),
    drives: drives.states,
    volumes: await catalog.volumeUsage(),
  };
}
