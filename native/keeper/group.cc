#include "group.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

bool IsRoot(const struct stat& status) {
  struct stat root;
  return stat("/", &root) == 0 && root.st_dev == status.st_dev;
}

std::string RootProblem(const std::string& name) {
  return name + " is on the root filesystem: an event that nobody answers there would stop the whole machine";
}

} // namespace

std::string UuidOf(int fd) {
  btrfs_ioctl_fs_info_args btrfs = {};
  if (ioctl(fd, BTRFS_IOC_FS_INFO, &btrfs) == 0)
    return std::string(reinterpret_cast<const char*>(btrfs.fsid), sizeof btrfs.fsid);
  fsuuid2 uuid = {};
  if (ioctl(fd, FS_IOC_GETFSUUID, &uuid) != 0)
    return "";
  return std::string(reinterpret_cast<const char*>(uuid.uuid), std::min<size_t>(uuid.len, sizeof uuid.uuid));
}

FileHandle HandleOf(int fd) {
  FileHandle handle;
  alignas(file_handle) char room[sizeof(file_handle) + FileHandle::kRoom];
  auto* raw = reinterpret_cast<file_handle*>(room);
  raw->handle_bytes = FileHandle::kRoom;
  int mount;
  if (name_to_handle_at(fd, "", raw, &mount, AT_EMPTY_PATH) == 0) {
    handle.type = raw->handle_type;
    handle.length = raw->handle_bytes;
    std::memcpy(handle.bytes, raw->f_handle, raw->handle_bytes);
  }
  return handle;
}

uint16_t FilesystemOf(const std::vector<Filesystem>& filesystems, int fd) {
  const auto count = static_cast<uint16_t>(filesystems.size());
  struct stat status;
  if (fstat(fd, &status) == 0)
    for (uint16_t index = 0; index < count; index++)
      if (filesystems[index].device == status.st_dev)
        return index;
  // Other subvolumes of a btrfs; never first, since a copy of a whole device has the same UUID.
  const std::string uuid = UuidOf(fd);
  for (uint16_t index = 0; index < count && !uuid.empty(); index++)
    if (filesystems[index].uuid == uuid)
      return index;
  return kUnknownFilesystem;
}

int OpenByHandle(const std::vector<Filesystem>& filesystems, const StubEvent& event, int access) {
  if (event.filesystem >= filesystems.size() || filesystems[event.filesystem].rootFd < 0 ||
      event.handle.length == 0) {
    errno = ESTALE;
    return -1;
  }
  alignas(file_handle) char room[sizeof(file_handle) + FileHandle::kRoom];
  auto* raw = reinterpret_cast<file_handle*>(room);
  raw->handle_type = event.handle.type;
  raw->handle_bytes = event.handle.length;
  std::memcpy(raw->f_handle, event.handle.bytes, event.handle.length);
  const int fd = open_by_handle_at(filesystems[event.filesystem].rootFd, raw,
                                   access | O_NONBLOCK | O_LARGEFILE | O_CLOEXEC | O_NOATIME);
  if (fd >= 0)
    fcntl(fd, F_SETFL, O_LARGEFILE | O_NOATIME);
  return fd;
}

std::string Group::Open(int access) {
  constexpr unsigned kNeeded =
      FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS;
  const auto flags = static_cast<unsigned>(access | O_LARGEFILE | O_CLOEXEC | O_NOATIME);
  // Linux 6.14 has both of the others, 6.1 the pidfd.
  for (const unsigned more : {FAN_REPORT_FD_ERROR | FAN_REPORT_PIDFD, FAN_REPORT_PIDFD + 0}) {
    fd_ = fanotify_init(kNeeded | more, flags);
    if (fd_ >= 0) {
      Probe();
      return "";
    }
    if (errno == EPERM)
      return "fanotify_init: must be root";
  }
  return Failure("fanotify_init (needs Linux 6.1 with CONFIG_FANOTIFY_ACCESS_PERMISSIONS)");
}

void Group::Adopt(int fd) {
  fd_ = fd;
  Probe();
}

// A kernel that takes denials with an errno (Linux 6.14) looks for the event, which is not there.
void Group::Probe() {
  const fanotify_response answer{INT_MAX, DenyWith(EAGAIN)};
  takesErrnos_ = write(fd_, &answer, sizeof answer) >= 0 || errno != EINVAL;
}

int Group::Mark(unsigned flags, int dirFd, const char* path) {
  int result = fanotify_mark(fd_, flags, mask_, dirFd, path);
  if (result != 0 && errno == EINVAL && mask_ == kPermissionMask) {
    result = fanotify_mark(fd_, flags, FAN_OPEN_PERM, dirFd, path);
    if (result == 0)
      mask_ = FAN_OPEN_PERM; // a kernel without FAN_PRE_ACCESS
  }
  return result;
}

std::string Group::Guard(Filesystem& filesystem) {
  if (std::string problem = GuardPath(filesystem.path); !problem.empty())
    return problem;
  filesystem.treeFd = static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, filesystem.path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (filesystem.treeFd < 0)
    return Failure("cannot make a private mount of " + filesystem.path);
  if (Mark(FAN_MARK_ADD | FAN_MARK_MOUNT | kIgnoreSurviving, filesystem.treeFd, ".") != 0)
    return Failure("cannot silence the private mount of " + filesystem.path);
  filesystem.rootFd = openat(filesystem.treeFd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (filesystem.rootFd < 0)
    return Failure("cannot open the private mount of " + filesystem.path);
  struct stat root;
  if (fstat(filesystem.rootFd, &root) != 0)
    return Failure(filesystem.path);
  filesystem.device = root.st_dev;
  filesystem.uuid = UuidOf(filesystem.rootFd);
  return "";
}

std::string Group::GuardPath(const std::string& path) {
  struct stat self;
  if (stat(path.c_str(), &self) != 0)
    return Failure(path);
  if (IsRoot(self))
    return RootProblem(path);
  return Mark(FAN_MARK_ADD | FAN_MARK_FILESYSTEM, AT_FDCWD, path.c_str()) == 0
             ? ""
             : Failure("cannot guard " + path);
}

std::string Group::GuardMount(int mountFd, const std::string& name) {
  struct stat self;
  if (fstat(mountFd, &self) != 0)
    return Failure(name);
  if (IsRoot(self))
    return RootProblem(name);
  return Mark(FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mountFd, ".") == 0 ? "" : Failure("cannot guard " + name);
}

void Group::Respond(int eventFd, int error) const {
  const fanotify_response answer{eventFd, error == 0 ? uint32_t{FAN_ALLOW} : Denial(error)};
  if (write(fd_, &answer, sizeof answer) == sizeof answer || errno == ENOENT)
    return;
  const int refusal = errno;
  std::fprintf(stderr, "hsm-keeper: answer %x to event fd %d: %s\n", answer.response, eventFd,
               std::strerror(refusal));
  if (error == 0)
    return;
  // An errno that this kernel does not take must not leave the reader blocked for ever.
  const fanotify_response plain{eventFd, FAN_DENY};
  if (write(fd_, &plain, sizeof plain) < 0)
    std::perror("hsm-keeper: plain denial");
}

bool Group::TryDeny(int eventFd, int error) const {
  const fanotify_response answer{eventFd, Denial(error)};
  return write(fd_, &answer, sizeof answer) == sizeof answer;
}

void Group::IgnoreInode(int eventFd) const {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", eventFd);
  // A failure costs one more question for this inode, nothing else.
  (void)fanotify_mark(fd_, FAN_MARK_ADD | FAN_MARK_EVICTABLE | kIgnoreSurviving, mask_, AT_FDCWD, path);
}

} // namespace hsm
