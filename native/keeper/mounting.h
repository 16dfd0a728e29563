// Mounts a filesystem so that nobody can open anything in it before it is guarded: fsopen(2), fsmount(2), the
// mark, move_mount(2). For `hsm mount`.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "group.h"

namespace hsm {

struct MountRequest {
  std::string source, type, target;
  std::vector<std::string> settings; // of the filesystem: `key`, or `key=value`
  unsigned attributes = 0;           // MOUNT_ATTR_* of the mount
  pid_t keeper = 0;                  // whose group guards it
};

class NewMount {
public:
  // Makes it, seen by nobody yet. Both return an error line, empty when all is well.
  std::string Prepare(const MountRequest& request);
  // Shows it at `target`, and lets go of it.
  std::string Attach(const std::string& target);

  int fd() const { return fd_; }

private:
  int fd_ = -1;
};

// Guards a filesystem with the group of a keeper that runs, and mounts it. An exit code; kExitRefused: that
// keeper has ended.
int MountUnderKeeper(const MountRequest& request);

} // namespace hsm
