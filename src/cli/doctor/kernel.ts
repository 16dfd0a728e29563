/** The kernel: what fanotify can do here, leases, security modules, limits. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { native } from '../../native/index.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

const enoughFiles = 65_536;

export function checkKernel(): Finding[] {
  const root = process.getuid?.() === 0;
  return [
    root ? ok('root', 'runs as root') : warn('root', 'does not run as root: some checks are left out', 'run hsm doctor as root'),
    root ? fanotify() : byVersion(release()),
    leases(),
    securityModules(),
  ];
}

function fanotify(): Finding {
  const { preAccess, openPerm, fdError, pidfd } = native.fanotifyProbe();
  const kernel = `Linux ${release()}`;
  if (!openPerm) return fail('kernel', `${kernel} has no fanotify permission events: stubs cannot be guarded`, 'boot a kernel with CONFIG_FANOTIFY_ACCESS_PERMISSIONS=y');
  if (!preAccess) return warn('kernel', `${kernel} has no fanotify pre-content events: stubs are guarded at open only, and not behind overlay mounts`, 'boot Linux 6.14 or later with CONFIG_FANOTIFY_ACCESS_PERMISSIONS=y; until then no overlay over a managed filesystem');
  const missing = [fdError ? null : 'FAN_REPORT_FD_ERROR', pidfd ? null : 'FAN_REPORT_PIDFD'].filter((each) => each !== null);
  if (missing.length > 0) return warn('kernel', `${kernel} lacks ${missing.join(' and ')}`, 'boot Linux 6.14 or later');
  return ok('kernel', `${kernel}: fanotify pre-content events, error reports and pidfds work`);
}

/** Without root nothing can be tried. */
export function byVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 14)) return ok('kernel', `Linux ${version} has fanotify pre-content events (not tried: needs root)`);
  return warn('kernel', `Linux ${version} is older than 6.14: stubs are guarded at open only`, 'boot Linux 6.14 or later');
}

function leases(): Finding {
  if (readNumber('/proc/sys/fs/leases-enable') === 0) return fail('leases', 'file leases are off: no file can be released safely', 'sysctl -w fs.leases-enable=1');
  const seconds = readNumber('/proc/sys/fs/lease-break-time');
  if (seconds === null) return warn('leases', '/proc/sys/fs/lease-break-time cannot be read', 'mount /proc');
  if (seconds === 0) return fail('leases', 'fs.lease-break-time is 0: a lease protects nothing while a file is released', 'sysctl -w fs.lease-break-time=45');
  if (seconds > 60) return warn('leases', `fs.lease-break-time is ${seconds} s: a program that holds a lease may delay the recall of its file for so long`, 'sysctl -w fs.lease-break-time=45');
  return ok('leases', `fs.lease-break-time is ${seconds} s`);
}

function securityModules(): Finding {
  let text: string;
  try {
    text = readFileSync('/sys/kernel/security/lsm', 'utf8').trim();
  } catch {
    return ok('lsm', 'no list of security modules (securityfs is not mounted)');
  }
  const bpf = text.split(',').includes('bpf') ? 'bpf among them' : 'without bpf: stubs have no second guard when the keeper is killed';
  return ok('lsm', `security modules: ${text} (${bpf})`);
}

/** Each waiting reader costs the daemon a file descriptor. It raises its own limit as far as the system lets it. */
export function openFiles(daemonPid: number | null): Finding {
  const most = daemonPid === null ? readNumber('/proc/sys/fs/nr_open') : hardLimit(daemonPid);
  const who = daemonPid === null ? 'the daemon may have' : 'the daemon has';
  if (most === null) return ok('files', `${who} any number of open files`);
  if (most < enoughFiles) return warn('files', `${who} only ${most} open files: each waiting reader needs one`, 'sysctl -w fs.nr_open=1048576, and LimitNOFILE=1048576 in hsm.service');
  return ok('files', `${who} ${most} open files`);
}

/** Null: unlimited. */
function hardLimit(pid: number): number | null {
  const line = readFileSync(`/proc/${pid}/limits`, 'utf8')
    .split('\n')
    .find((each) => each.startsWith('Max open files'));
  const limit = Number(line?.trim().split(/\s{2,}/)[2] ?? Number.NaN);
  return Number.isNaN(limit) ? null : limit;
}

function readNumber(path: string): number | null {
  try {
    return Number(readFileSync(path, 'utf8').trim());
  } catch {
    return null;
  }
}
