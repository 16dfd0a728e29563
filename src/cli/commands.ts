/** Every command by name, with the file that is imported only when it is called. */
import type { CommandModule } from './command.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly hidden?: boolean;
  readonly load: () => Promise<CommandModule>;
}

export const commands: readonly CommandEntry[] = [
  { name: 'init', summary: 'set up: config, catalogue and a tape library', load: () => import('./init.ts') },
  { name: 'daemon', summary: 'run the daemon in the foreground', load: () => import('./daemon.ts') },
  { name: 'mount', summary: 'mount a managed filesystem, guarded before anybody can see it', load: () => import('./mount.ts') },
  { name: 'umount', summary: 'unmount a managed filesystem and free its device', load: () => import('./umount.ts') },
  { name: 'archive', summary: 'copy cold files to tape and leave stubs', load: () => import('./archive.ts') },
  { name: 'release', summary: 'turn archived files into stubs', load: () => import('./release.ts') },
  { name: 'recall', summary: 'bring data back from tape, in tape order', load: () => import('./recall.ts') },
  { name: 'ls', summary: 'list files with their state and place on tape, never recalling', load: () => import('./ls.ts') },
  { name: 'status', summary: 'show daemon, filesystems, recalls, drives and volumes', load: () => import('./status.ts') },
  { name: 'queue', summary: 'show the recall requests and who waits for them', load: () => import('./queue.ts') },
  { name: 'tui', summary: 'watch and steer recalls, drives and jobs, full screen', load: () => import('./tui.ts') },
  { name: 'jobs', summary: 'show archive, release, recall and verify jobs', load: () => import('./jobs.ts') },
  { name: 'blocked', summary: 'list the processes that wait for data', load: () => import('./blocked.ts') },
  { name: 'failed', summary: 'list the recalls that failed lately, and why', load: () => import('./failed.ts') },
  { name: 'events', summary: 'list what was done and by whom, newest first', load: () => import('./events.ts') },
  { name: 'metrics', summary: 'print the metrics that Prometheus reads', load: () => import('./metrics.ts') },
  { name: 'hooks', summary: 'try the hooks that are called on events', load: () => import('./hooks.ts') },
  { name: 'cancel', summary: 'cancel a recall request or a job', load: () => import('./cancel.ts') },
  { name: 'priority', summary: 'let recall requests go sooner or later', load: () => import('./priority.ts') },
  { name: 'retry', summary: 'recall again what failed', load: () => import('./retry.ts') },
  { name: 'pause', summary: 'let recalls wait: all, those of a user, those in a drive', load: () => import('./pause.ts') },
  { name: 'resume', summary: 'end a pause', load: () => import('./pause.ts') },
  { name: 'hold', summary: 'let the recalls of volumes wait', load: () => import('./hold.ts') },
  { name: 'unhold', summary: 'let held volumes be read again', load: () => import('./hold.ts') },
  { name: 'tape', summary: 'list, show and add volumes', load: () => import('./tape.ts') },
  { name: 'drive', summary: 'list drives, take them down or up', load: () => import('./drive.ts') },
  { name: 'library', summary: 'list what sits in slots and drives', load: () => import('./library.ts') },
  { name: 'verify', summary: 'read tapes and check every hash', load: () => import('./verify.ts') },
  { name: 'undelete', summary: 'bring back a file that was deleted, or an old version, as a stub', load: () => import('./undelete.ts') },
  { name: 'reconcile', summary: 'compare filesystems with the catalogue, and put right what differs', load: () => import('./reconcile.ts') },
  { name: 'rebuild', summary: 'make a new catalogue from cartridges or stubs', load: () => import('./rebuild.ts') },
  { name: 'restore-tree', summary: 'make the files of a lost filesystem again, as stubs', load: () => import('./restore-tree.ts') },
  { name: 'doctor', summary: 'check kernel, filesystems, library and config, and say what to do', load: () => import('./doctor.ts') },
  { name: 'demo', summary: 'show it all on a filesystem of its own, then clean up', load: () => import('./demo.ts') },
  { name: 'completion', summary: 'print a shell completion script', load: () => import('./completion.ts') },
];
