/** The ways in which a reader can be shown zeros, and what hsm does about each: without it, the named test must fail. */

export interface Mutation {
  /** What would happen. */
  readonly hazard: string;
  readonly remedy: string;
  readonly file: string;
  /** Stands in the file once. */
  readonly from: string;
  readonly to: string;
  readonly test: string;
  /** Titles of tests, with `*`; every one that matches is run, and one at least must fail. */
  readonly match: string;
}

export const mutations: readonly Mutation[] = [
  {
    hazard: 'the last descriptor of the group is closed: the kernel allows what is pending',
    remedy: 'the witness holds the group, too',
    file: 'native/keeper/witness.cc',
    from: '{holdings.group, holdings.table, ends[0]}',
    to: '{holdings.table, ends[0]}',
    test: 'test/system/keeper-death.test.ts',
    match: 'on ext4 readers survive the kill -9 of keeper and daemon at once',
  },
  {
    hazard: 'tools look for holes, and copy zeros without a read',
    remedy: 'opens are asked about, not only accesses',
    file: 'native/keeper/fanotify_abi.h',
    from: 'kPermissionMask = FAN_OPEN_PERM | FAN_PRE_ACCESS',
    to: 'kPermissionMask = FAN_PRE_ACCESS',
    test: 'test/system/access/ext4.test.ts',
    match: 'tool * by root on ext4 *',
  },
  {
    hazard: 'a descriptor from before raises no event',
    remedy: 'who has a file open, or maps it, keeps its data: a write lease is taken first',
    file: 'native/evict.cc',
    from: 'error_ = fcntl(fd_, F_SETLEASE, F_WRLCK) == 0 ? 0 : errno;',
    to: 'error_ = 0;',
    test: 'test/system/fire/eviction.test.ts',
    match: 'on ext4 users of files*',
  },
  {
    hazard: 'marks of mounts are passed by through other mounts and namespaces',
    remedy: 'the whole filesystem is marked',
    file: 'native/keeper/group.cc',
    from: 'FAN_MARK_ADD | FAN_MARK_FILESYSTEM, AT_FDCWD',
    to: 'FAN_MARK_ADD | FAN_MARK_MOUNT, AT_FDCWD',
    test: 'test/system/access/ext4.test.ts',
    match: 'view * by root on ext4 *',
  },
  {
    hazard: 'umount drops the mark; the next mount has none',
    remedy: 'the keeper watches mounts, and marks what comes back',
    file: 'native/keeper/filesystems.cc',
    from: 'filesystem.view = Take(filesystem, mount) ? View::kSeen : View::kAnother;',
    to: 'filesystem.view = View::kSeen;',
    test: 'test/system/mount/under-daemon.test.ts',
    match: 'on ext4 a plain mount after hsm umount*',
  },
  {
    hazard: 'loop devices read a stub without an event',
    remedy: 'recall at open: losetup opens the file',
    file: 'native/keeper/fanotify_abi.h',
    from: 'kPermissionMask = FAN_OPEN_PERM | FAN_PRE_ACCESS',
    to: 'kPermissionMask = FAN_PRE_ACCESS',
    test: 'test/system/access/ext4.test.ts',
    match: 'view loop device* on ext4 *',
  },
  {
    hazard: 'an inode that is not asked about any more becomes a stub',
    remedy: 'the ignore mark is removed before the lease and again under it',
    file: 'native/fanotify.cc',
    from: 'int RemoveIgnoreMark(int groupFd, int fd) {',
    to: 'int RemoveIgnoreMark(int, int) { return 0; }\n[[maybe_unused]] static int Unused(int groupFd, int fd) {',
    test: 'test/system/fire/eviction.test.ts',
    match: 'on ext4 users of files*',
  },
  {
    hazard: 'a stub that was emptied or cut keeps its record',
    remedy: 'a record counts only for a file of the size that it names',
    file: 'src/recall/classify.ts',
    from: 'if (record.size === stat.size && (own || hollow))',
    to: 'if (own || hollow)',
    test: 'test/recall/classify.test.ts',
    match: '*',
  },
];
