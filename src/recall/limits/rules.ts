/** Who may recall how much: the rules `[[recall.limit]]` of the configuration, and those that are there without it. */
import { basename, matchesGlob } from 'node:path';

/** Who asks for a file. */
export interface Asker {
  readonly uid: number;
  /** Its own and its further groups. */
  readonly gids: readonly number[];
  /** Path of the program; empty when it could not be read. */
  readonly exe: string;
  /** The kernel's name of the process. */
  readonly comm: string;
  /** Such as `/system.slice/backup.service`. */
  readonly cgroup: string;
}

/** What happens beyond the limit: EPERM, EAGAIN, or the request waits until there is room. */
export type LimitAction = 'deny' | 'fail' | 'delay';

/** What counts together: the recalls of one user, program or control group, or all that match. */
export type LimitPer = 'user' | 'program' | 'cgroup' | 'all';

/** Matches who fits every condition that is given. Without any limit the action applies to every recall. */
export interface LimitRule {
  readonly name: string;
  /** Globs of the program's path or, without a slash, of its file name or process name; empty: any. */
  readonly programs: readonly string[];
  readonly uids: readonly { readonly first: number; readonly last: number }[];
  readonly gids: readonly number[];
  /** Globs. */
  readonly cgroups: readonly string[];
  readonly action: LimitAction;
  readonly per: LimitPer;
  /** Recalls at a time; null: any number. */
  readonly concurrent: number | null;
  readonly filesPerHour: number | null;
  readonly bytesPerHour: number | null;
}

const anybody = { programs: [], uids: [], gids: [], cgroups: [], per: 'all', concurrent: null, filesPerHour: null, bytesPerHour: null } as const;

/** Programs that open whatever they find: nobody wants a tape for a thumbnail. Backups get what they ask for, a few files at a time. */
export const defaultRules: readonly LimitRule[] = [
  {
    ...anybody,
    name: 'indexers',
    action: 'deny',
    programs: ['updatedb*', 'mlocate', 'plocate', 'tracker-*', 'tracker3*', 'localsearch*', 'baloo_file*', 'recollindex', 'zeitgeist-fts', 'beagled'],
  },
  { ...anybody, name: 'thumbnailers', action: 'deny', programs: ['*thumbnailer*', 'tumblerd', 'gnome-desktop-thumbnail*', 'kio_thumbnail*', 'thumbnail.so'] },
  { ...anybody, name: 'scanners', action: 'deny', programs: ['clamd', 'clamscan', 'clamdscan', 'clamonacc', 'freshclam', 'maldet', 'rkhunter', 'chkrootkit', 'savd', 'falcon-sensor*'] },
  {
    ...anybody,
    name: 'backups',
    action: 'delay',
    per: 'program',
    concurrent: 8,
    programs: ['bacula-fd', 'bareos-fd', 'borg', 'restic', 'duplicity', 'kopia', 'dsmc', 'amandad', 'rdiff-backup', 'veeamagent', 'duplicacy'],
  },
];

export const matches = (rule: LimitRule, asker: Asker): boolean => fitsProgram(rule, asker) && fitsUser(rule, asker);

export const fitsProgram = ({ programs }: LimitRule, asker: Pick<Asker, 'exe' | 'comm'>): boolean => programs.length === 0 || programs.some((glob) => isProgram(glob, asker));

/** Every condition but the program. */
export function fitsUser({ uids, gids, cgroups }: LimitRule, asker: Asker): boolean {
  if (uids.length > 0 && !uids.some(({ first, last }) => asker.uid >= first && asker.uid <= last)) return false;
  if (gids.length > 0 && !gids.some((gid) => asker.gids.includes(gid))) return false;
  return cgroups.length === 0 || cgroups.some((glob) => matchesGlob(asker.cgroup, glob));
}

const isProgram = (glob: string, { exe, comm }: Pick<Asker, 'exe' | 'comm'>): boolean =>
  glob.includes('/') ? matchesGlob(exe, glob) : (exe !== '' && matchesGlob(basename(exe), glob)) || matchesGlob(comm, glob);

export const isAlways = ({ concurrent, filesPerHour, bytesPerHour }: LimitRule): boolean => concurrent === null && filesPerHour === null && bytesPerHour === null;

/** Whose recalls count together under this rule. */
export function groupOf(rule: LimitRule, asker: Asker): string {
  const of = { user: String(asker.uid), program: asker.exe === '' ? asker.comm : asker.exe, cgroup: asker.cgroup, all: '' } as const;
  return `${rule.name}:${of[rule.per]}`;
}
