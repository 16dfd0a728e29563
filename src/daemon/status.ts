/** The object of `hsm status --json`. */
import type { FileState } from '../catalog/model.ts';
import { version } from '../version.ts';
import type { RecallCounts } from '../recall/recaller.ts';
import type { Daemon } from './daemon.ts';
import { warningOf } from './filesystems.ts';
import { driveStates } from './operator-requests.ts';
import { pauseLine } from './pauses.ts';
import type { PauseLine } from './protocol.ts';

export interface Status {
  readonly daemon: { readonly pid: number; readonly startedAt: string; readonly version: string };
  /** `overflow`: when and how often the kernel lost events, and so may have let readers of stubs through; null: never. */
  readonly keeper: { readonly pid: number; readonly overflow: { readonly count: number; readonly at: string } | null };
  readonly filesystems: readonly ({
    readonly path: string;
    readonly type: string;
    readonly guard: 'pre-access' | 'open-only';
    readonly stubs: number;
    readonly mounted: boolean;
    /** What is wrong with it; null when nothing is. */
    readonly warning: string | null;
  } & Partial<Record<FileState, number>>)[];
  readonly recalls: RecallCounts;
  readonly pauses: readonly PauseLine[];
  readonly drives: readonly object[];
  readonly volumes: readonly object[];
}

export async function statusOf({ catalog, drives, filesystems, guard, library, overflows, rates, recaller, startedAt }: Daemon): Promise<Status> {
  const lost = overflows();
  return {
    daemon: { pid: process.pid, startedAt: startedAt.toISOString(), version },
    keeper: { pid: process.ppid, overflow: lost === null ? null : { count: lost.count, at: lost.lastAt.toISOString() } },
    filesystems: await Promise.all(
      filesystems.map(async (filesystem) => {
        const { id, path, type, view } = filesystem;
        const counts = await catalog.countStates(id);
        return { path, type, guard, mounted: view === 'seen', warning: warningOf(filesystem), stubs: counts.stub, archived: counts.archived, recalling: counts.recalling };
      }),
    ),
    recalls: recaller.counts(),
    pauses: recaller.pauses.map(pauseLine),
    drives: driveStates({ drives, library, rates }),
    volumes: await catalog.volumeUsage(),
  };
}
