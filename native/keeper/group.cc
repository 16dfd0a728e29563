#include "group.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef FS_IOC_GETFSUUID
struct fsuuid2 {
  __u8 len;
  __u8 uuid[16];
};
#define FS_IOC_GETFSUUID _IOR(0x15, 0, struct fsuuid2)
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

namespace hsm {
namespace {

constexpr unsigned kIgnoreSurviving = FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY;

std::string Failure(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

// proc_pid_mountinfo(5): the line of this mount id has major:minor in its third field.
uint64_t SuperDeviceOf(const char* path, uint64_t fallback) {
  struct statx status;
  if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &status) != 0 || (status.stx_mask & STATX_MNT_ID) == 0)
    return fallback;
  FILE* mounts = std::fopen("/proc/self/mountinfo", "re");
  if (mounts == nullptr)
    return fallback;
  uint64_t found = fallback;
  char* line = nullptr;
  size_t room = 0;
  while (getline(&line, &room, mounts) > 0) {
    unsigned long long id;
    unsigned major, minor;
    if (std::sscanf(line, "%llu %*d %u:%u", &id, &major, &minor) == 3 && id == status.stx_mnt_id)
      found = makedev(major, minor);
  }
  std::free(line);
  std::fclose(mounts);
  return found;
}

} // namespace

std::string UuidOf(int fd) {
  fsuuid2 uuid = {};
  if (ioctl(fd, FS_IOC_GETFSUUID, &uuid) != 0)
    return "";
  return std::string(reinterpret_cast<const char*>(uuid.uuid), std::min<size_t>(uuid.len, sizeof uuid.uuid));
}

std::string Group::Open() {
  fd_ = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS |
                          FAN_REPORT_FD_ERROR | FAN_REPORT_PIDFD,
                      O_RDWR | O_LARGEFILE | O_CLOEXEC | O_NOATIME);
  if (fd_ >= 0)
    return "";
  if (errno == EPERM)
    return "fanotify_init: must be root";
  return Failure(
      "fanotify_init (pre-content events need Linux 6.14 with CONFIG_FANOTIFY_ACCESS_PERMISSIONS)");
}

std::string Group::Guard(Filesystem& filesystem) {
  struct stat root, self;
  if (stat(filesystem.path.c_str(), &self) != 0)
    return Failure(filesystem.path);
  if (stat("/", &root) == 0 && root.st_dev == self.st_dev)
    return filesystem.path +
           " is on the root filesystem: an event that nobody answers there would stop the whole machine";
  filesystem.device = self.st_dev;
  filesystem.superDevice = SuperDeviceOf(filesystem.path.c_str(), self.st_dev);
  if (fanotify_mark(fd_, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, kPermissionMask, AT_FDCWD,
                    filesystem.path.c_str()) != 0)
    return Failure("cannot guard " + filesystem.path);
  filesystem.treeFd = static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, filesystem.path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (filesystem.treeFd < 0)
    return Failure("cannot make a private mount of " + filesystem.path);
  if (fanotify_mark(fd_, FAN_MARK_ADD | FAN_MARK_MOUNT | kIgnoreSurviving, kPermissionMask, filesystem.treeFd,
                    ".") != 0)
    return Failure("cannot silence the private mount of " + filesystem.path);
  filesystem.rootFd = openat(filesystem.treeFd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (filesystem.rootFd < 0)
    return Failure("cannot open the private mount of " + filesystem.path);
  filesystem.uuid = UuidOf(filesystem.rootFd);
  return "";
}

void Group::Respond(int eventFd, uint32_t response) const {
  const fanotify_response answer{eventFd, response};
  if (write(fd_, &answer, sizeof answer) == sizeof answer || errno == ENOENT)
    return;
  const int error = errno;
  std::fprintf(stderr, "hsm-keeper: answer %x to event fd %d: %s\n", response, eventFd, std::strerror(error));
  if (response == FAN_ALLOW)
    return;
  // An errno that this kernel does not take must not leave the reader blocked for ever.
  const fanotify_response plain{eventFd, FAN_DENY};
  if (write(fd_, &plain, sizeof plain) < 0)
    std::perror("hsm-keeper: plain denial");
}

void Group::IgnoreInode(int eventFd) const {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", eventFd);
  // A failure costs one more question for this inode, nothing else.
  (void)fanotify_mark(fd_, FAN_MARK_ADD | FAN_MARK_EVICTABLE | kIgnoreSurviving, kPermissionMask, AT_FDCWD,
                      path);
}

} // namespace hsm
