// The fanotify group that guards the managed filesystems: marks, answers, private mounts.
#pragma once
#include <string>
#include <vector>

#include "event.h"
#include "fanotify_abi.h"

namespace hsm {

// What is mounted at the path of a managed filesystem.
enum class View : uint8_t { kAbsent = 0, kSeen = 1, kAnother = 2 };

struct Filesystem {
  std::string path;
  uint64_t device = 0; // st_dev of its root
  // The same for all subvolumes of a btrfs; empty where the kernel tells none (before Linux 6.9).
  std::string uuid;
  int treeFd = -1;         // detached private mount; its accesses raise no events
  int rootFd = -1;         // directory opened inside it; -1 while this process does not have the filesystem
  uint64_t superblock = 0; // mounts.h
  View view = View::kAbsent;
  bool unguarded = false; // it was mounted before it was guarded
  bool told = true;       // the worker knows all of this
  bool given = false;     // the worker has the private mount
};

// The filesystem's UUID as bytes, or empty.
std::string UuidOf(int fd);

FileHandle HandleOf(int fd);

// Whose file this is: an index, or kUnknownFilesystem.
uint16_t FilesystemOf(const std::vector<Filesystem>& filesystems, int fd);

// The event's file, opened in the private mount of its filesystem: no event is raised, whatever mount the
// reader came through. O_NONBLOCK: a user's lease is EAGAIN. -1 and errno on failure.
int OpenByHandle(const std::vector<Filesystem>& filesystems, const StubEvent& event, int access);

class Group {
public:
  // Opens the group, or adopts one that another keeper hands over. `access` of the events' fds: O_RDONLY, or
  // O_RDWR, which the kernel cannot open for readers that come through a read-only mount. Returns an error
  // line, empty when all is well.
  std::string Open(int access);
  void Adopt(int fd);

  // Marks the whole filesystem, then clones its mount and silences the clone.
  std::string Guard(Filesystem& filesystem);
  // Marks the whole filesystem that is seen at a path, no more.
  std::string GuardPath(const std::string& path);
  // Marks the filesystem of a mount that may not be visible yet. `name`: for the error line.
  std::string GuardMount(int mountFd, const std::string& name);

  int fd() const { return fd_; }
  // False on kernels before 6.14, where only opens are guarded.
  bool guardsAccess() const { return mask_ == kPermissionMask; }

  // Lets the reader go on (error 0), or denies it with an errno. Errors other than ENOENT (nobody waits) are
  // printed, since a reader may be left waiting.
  void Respond(int eventFd, int error) const;
  // Of an event that may not exist: whether somebody was waiting for it.
  bool TryDeny(int eventFd, int error) const;

  // Evictable ignore mark that survives writes: no more questions about this inode while it is cached. Only
  // to be called while an event's fd of the inode is open: that fd refuses the archiver's write lease, so a
  // mark can never land on a fresh stub.
  void IgnoreInode(int eventFd) const;

private:
  int Mark(unsigned flags, int dirFd, const char* path);
  void Probe();
  uint32_t Denial(int error) const { return takesErrnos_ ? DenyWith(error) : FAN_DENY; }

  int fd_ = -1;
  uint64_t mask_ = kPermissionMask;
  bool takesErrnos_ = true;
};

} // namespace hsm
