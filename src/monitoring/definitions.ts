/** Every metric of hsm by name: what docs/monitoring.md, the dashboard and the alerts are tested against. */

export interface Definition {
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

const gauge = (help: string, ...labels: readonly string[]): Definition => ({ type: 'gauge', help, labels });
const counter = (help: string, ...labels: readonly string[]): Definition => ({ type: 'counter', help, labels });
const histogram = (help: string, ...labels: readonly string[]): Definition => ({ type: 'histogram', help, labels });

export const definitions = {
  hsm_build_info: gauge('Always 1; the version is a label.', 'version'),
  hsm_scrape_duration_seconds: gauge('How long it took to gather the values of this scrape.'),

  process_cpu_seconds_total: counter('User and system CPU time of the daemon.'),

  hsm_queue_requests: gauge('Recall requests by volume and state; beyond 50 volumes those with the fewest are counted together as volume "other".', 'volume', 'state'),
  hsm_queue_bytes: gauge('Bytes of the files that are wanted from a volume.', 'volume'),
  hsm_queue_oldest_age_seconds: gauge('How long ago the oldest recall request of a volume was made.', 'volume'),
  hsm_queue_age_seconds: gauge('How long ago the oldest recall request of all was made; 0 when there is none.'),
  hsm_waiting_processes: gauge('Opens and reads of stubs that wait for an answer.'),
  hsm_recalls_held_back: gauge('Recall requests that limits, pauses, a full filesystem or a volume on the shelf hold back.'),
  hsm_recall_wait_seconds: histogram('From the arrival of a reader to the answer; outcome is ok or the errno.', 'outcome'),
  hsm_recalled_files_total: counter('Files brought back from tape.'),
  hsm_recalled_bytes_total: counter('Bytes brought back from tape.'),
  hsm_answers_total: counter('Answers to waiting readers: allow, or the errno that they got.', 'answer'),
  hsm_recalls_refused_total: counter('Recalls that a limit refused, by rule.', 'rule'),
  hsm_recall_storms: gauge('Users who ask for very many files at once.'),
  hsm_pauses: gauge('What is paused or held, by kind.', 'kind'),

  hsm_drive_up: gauge('1 while the drive may be used.', 'drive'),
  hsm_drive_state: gauge('1 for the state that the drive is in, 0 for the others.', 'drive', 'state'),
  hsm_drive_mounts_total: counter('Volumes loaded into the drive.', 'drive'),
  hsm_drive_mount_failures_total: counter('Loads that failed.', 'drive'),
  hsm_drive_mount_seconds_total: counter('Time spent loading, failed loads included.', 'drive'),
  hsm_drive_locates_total: counter('Locates and rewinds.', 'drive'),
  hsm_drive_locate_seconds_total: counter('Time spent in locates and rewinds.', 'drive'),
  hsm_drive_read_bytes_total: counter('Bytes read from volumes in the drive.', 'drive'),
  hsm_drive_written_bytes_total: counter('Bytes written to volumes in the drive.', 'drive'),
  hsm_drive_transfer_seconds_total: counter('Time spent in reads, writes and filemarks.', 'drive'),
  hsm_drive_syncs_total: counter('Filemarks that were waited for until they were on tape.', 'drive'),
  hsm_drive_errors_total: counter('Operations on a loaded volume that failed with an I/O error.', 'drive'),
  hsm_operator_requests: gauge('What waits for the hand of an operator: cartridges to put into a drive, requests whose volume is on the shelf.'),

  hsm_errors_total: counter('Failures by whose fault they are: drive (put down), volume (made suspect), library (a load that failed for another reason), filesystem (no room, quota, read-only).', 'blame'),
  hsm_media_failures_total: counter('Failures of a drive with a volume, before anybody is blamed.', 'operation'),
  hsm_log_messages_total: counter('Lines of the log by level.', 'level'),

  hsm_volumes: gauge('Volumes by pool and state; those without a pool have pool "none".', 'pool', 'state'),
  hsm_pool_free_bytes: gauge('Room on volumes that can be written.', 'pool'),
  hsm_pool_capacity_bytes: gauge('Capacity of the volumes.', 'pool'),
  hsm_pool_used_bytes: gauge('Written to the volumes.', 'pool'),
  hsm_pool_live_bytes: gauge('What some file still needs of that.', 'pool'),
  hsm_catalogue_copied_timestamp_seconds: gauge('When the catalogue was last copied to tape; missing where it never was.'),

  hsm_filesystem_guarded: gauge('1 while the filesystem is mounted and guarded as it should be; hsm status says what is wrong.', 'filesystem'),
  hsm_filesystem_size_bytes: gauge('Size of the filesystem.', 'filesystem'),
  hsm_filesystem_free_bytes: gauge('Room for data on the filesystem.', 'filesystem'),
  hsm_files: gauge('Files by state; resident files are not counted.', 'filesystem', 'state'),

  hsm_jobs_running: gauge('Jobs that run or wait for their turn, by kind.', 'kind'),
  hsm_jobs_ended_total: counter('Jobs that ended, by kind and how.', 'kind', 'state'),
  hsm_job_files_total: counter('Files of jobs that ended: archived, released, recalled; objects of verify and reclaim.', 'kind'),
  hsm_job_bytes_total: counter('Their bytes.', 'kind'),
  hsm_job_failed_files_total: counter('Files of jobs that failed; damaged objects of verify.', 'kind'),
  hsm_job_done_timestamp_seconds: gauge('When a job of this kind was last done.', 'kind'),
  hsm_hooks_total: counter('Hooks by how they ended: ok, failed, timeout, dropped.', 'hook', 'result'),

  hsm_keeper_generation: gauge('Counts the keepers that guarded these filesystems since somebody did without a gap; it grows when a keeper is replaced.'),
  hsm_keeper_events_total: counter('Questions of the kernel: about resident files, about stubs, those refused at once, those that could not be opened.', 'kind'),
  hsm_keeper_first_touch_seconds: histogram('How long the keeper took to answer a question about a resident file; each is asked about once.'),
  hsm_keeper_queue_overflows_total: counter('Times that the kernel lost events and let readers through unasked.'),
} as const satisfies Record<string, Definition>;

export type MetricName = keyof typeof definitions;
