/** The values of a scrape, from what the daemon knows: nothing is asked of a tape, a robot or the keeper. */
import type { Catalog, JobKind, VolumeState } from '../catalog/model.ts';
import { volumeMoves } from '../catalog/model.ts';
import { keeperStatistics } from '../monitoring/keeper-statistics.ts';
import type { Samples } from '../monitoring/samples.ts';
import type { Tally } from '../monitoring/tally.ts';
import type { PooledDrive } from '../library/drive-pool.ts';
import { roomIn } from '../recall/limits/space.ts';
import type { QueueDepths } from '../recall/queue-depths.ts';
import { version } from '../version.ts';
import type { Daemon } from './daemon.ts';
import { warningOf } from './filesystems.ts';

/** Volumes that get labels of their own: those with the longest queues. */
export const mostVolumes = 50;
const driveStates: readonly PooledDrive['state'][] = ['empty', 'loading', 'ready', 'busy', 'failed'];
const volumeStates = Object.keys(volumeMoves) as readonly VolumeState[];
const jobKinds: readonly JobKind[] = ['archive', 'release', 'recall', 'verify', 'restore', 'reclaim', 'reconcile', 'undelete'];

export type Measured = Pick<Daemon, 'catalog' | 'counters' | 'drives' | 'filesystems' | 'jobs' | 'library' | 'recaller' | 'tableFd'>;

/** Resolves when all is added. Takes some ms of the JavaScript thread at most, also with ten thousand requests. */
export async function collectMetrics(daemon: Measured, tally: Tally, samples: Samples): Promise<void> {
  samples.add('hsm_build_info', 1, { version });
  const { user, system } = process.cpuUsage();
  samples.add('process_cpu_seconds_total', (user + system) / 1e6);
  const depths = daemon.recaller.depths();
  addQueue(depths, Date.now(), samples);
  addRecalls(daemon, depths, tally, samples);
  addDrives(daemon, samples);
  addTally(tally, daemon.drives.loads.reduce((sum, { libraryFailures }) => sum + libraryFailures, 0), samples);
  addJobs(daemon, tally, samples);
  addKeeper(daemon.tableFd, samples);
  await addVolumes(daemon.catalog, tally, samples);
  for (const filesystem of daemon.filesystems) await addFilesystem(daemon.catalog, filesystem, samples);
}

/** `now`: ms since the epoch. */
export function addQueue({ volumes, waiters }: QueueDepths, now: number, samples: Samples): void {
  const total = ({ states }: { readonly states: Readonly<Record<string, number>> }): number => Object.values(states).reduce((sum, each) => sum + each, 0);
  const ordered = [...volumes].sort(([, a], [, b]) => total(b) - total(a));
  const shown = new Map(ordered.slice(0, mostVolumes));
  for (const [, depth] of ordered.slice(mostVolumes)) {
    const other = shown.get('other') ?? { states: { queued: 0, loading: 0, locating: 0, restoring: 0 }, bytes: 0, oldestAt: depth.oldestAt };
    shown.set('other', other);
    for (const state of Object.keys(other.states) as (keyof typeof other.states)[]) other.states[state] += depth.states[state];
    other.bytes += depth.bytes;
    other.oldestAt = Math.min(other.oldestAt, depth.oldestAt);
  }
  const age = (at: number): number => Math.max(0, now - at) / 1000;
  for (const [volume, { states, bytes, oldestAt }] of shown) {
    for (const [state, count] of Object.entries(states)) samples.add('hsm_queue_requests', count, { volume, state });
    samples.add('hsm_queue_bytes', bytes, { volume });
    samples.add('hsm_queue_oldest_age_seconds', age(oldestAt), { volume });
  }
  samples.add('hsm_queue_age_seconds', [...volumes.values()].reduce((oldest, { oldestAt }) => Math.max(oldest, age(oldestAt)), 0));
  samples.add('hsm_waiting_processes', waiters);
}

function addRecalls({ library, recaller }: Pick<Measured, 'library' | 'recaller'>, { onShelf }: QueueDepths, tally: Tally, samples: Samples): void {
  const { waiting, files, bytes, storms, refused } = recaller.counts();
  samples.add('hsm_recalls_held_back', waiting);
  samples.add('hsm_recalled_files_total', files);
  samples.add('hsm_recalled_bytes_total', bytes);
  samples.add('hsm_recall_storms', storms.length);
  samples.add('hsm_operator_requests', library.requests.length + onShelf);
  for (const [rule, count] of Object.entries(refused)) samples.add('hsm_recalls_refused_total', count, { rule });
  for (const kind of ['all', 'volume', 'drive', 'user'] as const) samples.add('hsm_pauses', recaller.pauses.filter(({ pause }) => pause.kind === kind).length, { kind });
  for (const [outcome, waits] of tally.waits) samples.addDistribution('hsm_recall_wait_seconds', waits, { outcome });
  for (const [answer, count] of tally.answers) samples.add('hsm_answers_total', count, { answer });
}

function addDrives({ counters, drives }: Pick<Measured, 'counters' | 'drives'>, samples: Samples): void {
  for (const { name: drive, admin, state } of drives.states) {
    samples.add('hsm_drive_up', admin === 'up' && state !== 'failed' ? 1 : 0, { drive });
    for (const each of driveStates) samples.add('hsm_drive_state', each === state ? 1 : 0, { drive, state: each });
  }
  for (const { drive, mounts, mountFailures, mountMs } of drives.loads) {
    const passed = counters.passed(drive);
    samples.add('hsm_drive_mounts_total', mounts, { drive });
    samples.add('hsm_drive_mount_failures_total', mountFailures, { drive });
    samples.add('hsm_drive_mount_seconds_total', mountMs / 1000, { drive });
    samples.add('hsm_drive_locates_total', passed.locates, { drive });
    samples.add('hsm_drive_locate_seconds_total', passed.locateMs / 1000, { drive });
    samples.add('hsm_drive_read_bytes_total', passed.bytesRead, { drive });
    samples.add('hsm_drive_written_bytes_total', passed.bytesWritten, { drive });
    samples.add('hsm_drive_transfer_seconds_total', passed.transferMs / 1000, { drive });
    samples.add('hsm_drive_syncs_total', passed.syncs, { drive });
    samples.add('hsm_drive_errors_total', passed.errors, { drive });
  }
}

function addTally({ errors, hooks, logged, mediaFailures }: Tally, libraryFailures: number, samples: Samples): void {
  for (const [blame, count] of Object.entries(errors)) samples.add('hsm_errors_total', count, { blame });
  samples.add('hsm_errors_total', libraryFailures, { blame: 'library' });
  for (const [operation, count] of Object.entries(mediaFailures)) samples.add('hsm_media_failures_total', count, { operation });
  for (const { hook, result, count } of hooks.values()) samples.add('hsm_hooks_total', count, { hook, result });
  for (const [level, count] of Object.entries(logged)) samples.add('hsm_log_messages_total', count, { level });
}

function addJobs({ jobs }: Pick<Measured, 'jobs'>, tally: Tally, samples: Samples): void {
  const running = jobs.countRunning();
  for (const kind of jobKinds) {
    samples.add('hsm_jobs_running', running.get(kind) ?? 0, { kind });
    for (const state of ['done', 'failed', 'cancelled'] as const) samples.add('hsm_jobs_ended_total', tally.jobs.get(`${kind} ${state}`)?.count ?? 0, { kind, state });
    const { files, bytes, failed } = tally.jobTotals.get(kind) ?? { files: 0, bytes: 0, failed: 0 };
    samples.add('hsm_job_files_total', files, { kind });
    samples.add('hsm_job_bytes_total', bytes, { kind });
    samples.add('hsm_job_failed_files_total', failed, { kind });
    const doneAt = tally.jobDoneAt.get(kind);
    if (doneAt !== undefined) samples.add('hsm_job_done_timestamp_seconds', doneAt / 1000, { kind });
  }
}

function addKeeper(tableFd: number, samples: Samples): void {
  const { generation, overflows, touches, ...events } = keeperStatistics(tableFd);
  samples.add('hsm_keeper_generation', generation);
  samples.add('hsm_keeper_queue_overflows_total', overflows);
  for (const [kind, count] of Object.entries(events)) samples.add('hsm_keeper_events_total', count, { kind });
  samples.addDistribution('hsm_keeper_first_touch_seconds', touches);
}

async function addVolumes(catalog: Pick<Catalog, 'volumes'>, { catalogueCopiedAt }: Tally, samples: Samples): Promise<void> {
  const pools = new Map<string, { readonly states: Map<VolumeState, number>; capacity: number; used: number; live: number; free: number }>();
  for (const { pool, state, capacity, used, live } of await catalog.volumes()) {
    const name = pool ?? 'none';
    const sums = pools.get(name) ?? { states: new Map<VolumeState, number>(), capacity: 0, used: 0, live: 0, free: 0 };
    pools.set(name, sums);
    sums.states.set(state, (sums.states.get(state) ?? 0) + 1);
    sums.capacity += capacity;
    sums.used += used;
    sums.live += live;
    if (state === 'scratch' || state === 'writable') sums.free += Math.max(0, capacity - used);
  }
  for (const [pool, { states, capacity, used, live, free }] of pools) {
    for (const state of volumeStates) samples.add('hsm_volumes', states.get(state) ?? 0, { pool, state });
    samples.add('hsm_pool_capacity_bytes', capacity, { pool });
    samples.add('hsm_pool_used_bytes', used, { pool });
    samples.add('hsm_pool_live_bytes', live, { pool });
    samples.add('hsm_pool_free_bytes', free, { pool });
  }
  if (catalogueCopiedAt !== null) samples.add('hsm_catalogue_copied_timestamp_seconds', catalogueCopiedAt / 1000);
}

async function addFilesystem(catalog: Pick<Catalog, 'countStates'>, filesystem: Daemon['filesystems'][number], samples: Samples): Promise<void> {
  const { id, mountFd, path } = filesystem;
  const label = { filesystem: path };
  samples.add('hsm_filesystem_guarded', filesystem.view === 'seen' && warningOf(filesystem) === null ? 1 : 0, label);
  const counts = await catalog.countStates(id);
  for (const state of ['archived', 'stub', 'recalling'] as const) samples.add('hsm_files', counts[state], { ...label, state });
  if (mountFd < 0) return;
  const { free, total } = roomIn(`/proc/self/fd/${mountFd}`);
  samples.add('hsm_filesystem_size_bytes', total, label);
  samples.add('hsm_filesystem_free_bytes', free, label);
}
