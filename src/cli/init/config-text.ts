/** The config file that `hsm init` writes: every key, with what it is for. */
import { dirname, join } from 'node:path';
import { defaultSocketPath, socketPath } from '../../config.ts';
import type { InitPlan } from './plan.ts';

export function configText(plan: Pick<InitPlan, 'state' | 'library' | 'scsi' | 'filesystems' | 'timing' | 'format'>): string {
  const socket = socketPath(plan.state);
  return `# Configuration of hsm: docs/operations.md explains each key, 'hsm doctor' checks them.

# Folder of the catalogue and of what the daemon must keep. Never on a filesystem that hsm manages.
state = ${text(plan.state)}

# Where the daemon listens${socket === defaultSocketPath ? '' : '; by default in the state folder'}.
# socket = ${text(socket)}

# Mount points of the filesystems that hsm manages.
filesystems = [${plan.filesystems.map(({ path }) => text(path)).join(', ')}]

${plan.scsi === null ? virtualLibrary(plan) : scsiLibrary(plan.scsi, plan.format)}
[archive]
# Each of these pools gets a copy when 'hsm archive' is not told --pool.
pools = ["default"]
# Bytes after which a container is closed.
# container_size = ${text(plan.scsi === null && plan.timing === 'none' ? '256M' : '4G')}
# How many drives archive runs may use at a time. 0: all.
# drives = 0

[recall]
# Milliseconds that the first recall waits for others to be sorted with.
batch_window_ms = 20
# Seconds after which a volume gives its drive to another one that is wanted as urgently. 0: never.
# turn_s = 900
# Where several users want files of one volume, so many of each are read in turn.
# share = 64
# How many drives recalls may use at a time. 0: all.
# drives = 0
# How many files are recalled ahead of programs that read one after the other, such as grep -r. 0: none.
# prefetch = 0
# Indexers, thumbnailers and virus scanners are refused, backups get 8 files at a time.
# default_limits = true
# So many requests of one user at a time are reported as a storm. 0: none is.
# storm_files = 1000
# Percent of a filesystem that recalls leave free, and seconds that they wait for room before readers get ENOSPC.
# keep_free_percent = 1
# full_wait_s = 60
# Seconds after which readers get EAGAIN. 0: they wait as long as tape takes.
timeout_s = 0

[metrics]
# The Unix socket that serves metrics to Prometheus; by default beside the control socket.
# socket = ${text(join(dirname(socket), 'metrics.sock'))}
# A port besides. Every user of this machine can read what it serves.
# listen = "127.0.0.1:9788"

[hooks]
# Called on events that need an operator and on failures: a program with its arguments, a URL.
# command = ["/usr/local/sbin/hsm-event"]
# webhook = "https://example.org/hsm"
# webhook_secret_file = "/etc/hsm/webhook-token"
# on = ["operator-needed", "failure"]
`;
}

const dismountAfter = `# Seconds after which a volume that nobody uses goes back to its slot. 0: never.
# dismount_after_s = 600
`;

const virtualLibrary = ({ library, timing, format }: Pick<InitPlan, 'library' | 'timing' | 'format'>): string => `[library]
kind = "virtual"
path = ${text(library)}
${volumeFormat(format)}# As slow as a real drive: "none", "lto8" or "lto9".
timing = ${text(timing)}
${dismountAfter}`;

const scsiLibrary = ({ changer, drives }: NonNullable<InitPlan['scsi']>, format: InitPlan['format']): string => `[library]
kind = "scsi"
${volumeFormat(format)}${changer === null ? '# No robot: an operator is asked for cartridges.\n# changer = "/dev/tape/by-id/..."' : `# The robot, moved by mtx.\nchanger = ${text(changer)}`}
# Bytes a cartridge, if not what the last two characters of its barcode say.
# capacity = "12TB"
# Seconds that a drive may take to thread a tape.
# load_timeout_s = 1200
# Cartridges whose barcodes begin so clean drives, so many times each: by themselves ("auto") or when an operator says so ("ask").
# cleaning_prefix = "CLN"
# cleaning_uses = 50
# clean = "auto"
${dismountAfter}
# The robot's number of a drive (element = 0) is only needed where the robot does not tell the drives' serial numbers.
${drives.map((device, i) => `[[library.drive]]\nname = "drive${i}"\ndevice = ${text(device)}\n`).join('\n')}`;

const volumeFormat = (format: InitPlan['format']): string => `# What volumes are: "tar" (containers as tar archives) or "ltfs" (files on LTFS).
format = ${text(format)}
`;

/** A TOML basic string; JSON's escapes are a part of TOML's. */
const text = (value: string): string => JSON.stringify(value).replace(/\u007f/g, '\\u007f');
