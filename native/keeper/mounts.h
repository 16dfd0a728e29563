// What is mounted where, as /proc/self/mountinfo tells (proc_pid_mountinfo(5)).
#pragma once
#include <cstdint>
#include <string>

namespace hsm {

struct Mount {
  bool isThere = false;    // the path is the root of a mount
  uint64_t superblock = 0; // the kernel's number of what is seen at the path, which is not st_dev on btrfs
  std::string type;
};

// Opens nothing, and mounts nothing by looking.
Mount MountAt(const std::string& path);

// Whether hsm guards filesystems of this type.
bool IsManagedType(const std::string& type);

// Whether the group marks the filesystem that is seen at the path as a whole.
bool GroupGuards(int group, const std::string& path);

} // namespace hsm
