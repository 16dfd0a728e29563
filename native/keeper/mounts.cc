#include "mounts.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

namespace hsm {
namespace {

// `36 35 98:0 / /mnt rw,noatime master:1 - ext4 /dev/sdb1 rw`
void ReadMount(const char* line, Mount* mount) {
  unsigned major, minor;
  if (std::sscanf(line, "%*d %*d %u:%u", &major, &minor) == 2)
    mount->superblock = uint64_t{major} << 20 | minor;
  char type[64];
  const char* rest = std::strstr(line, " - ");
  if (rest != nullptr && std::sscanf(rest, " - %63s", type) == 1)
    mount->type = type;
}

} // namespace

Mount MountAt(const std::string& path) {
  Mount mount;
  struct statx status;
  if (statx(AT_FDCWD, path.c_str(), AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_MNT_ID, &status) != 0)
    return mount;
  mount.isThere = (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  FILE* mounts = std::fopen("/proc/self/mountinfo", "re");
  char* line = nullptr;
  size_t room = 0;
  while (mounts != nullptr && getline(&line, &room, mounts) > 0)
    if (std::strtoull(line, nullptr, 10) == status.stx_mnt_id)
      ReadMount(line, &mount);
  std::free(line);
  if (mounts != nullptr)
    std::fclose(mounts);
  return mount;
}

bool IsManagedType(const std::string& type) {
  return type == "ext4" || type == "xfs" || type == "btrfs";
}

bool GroupGuards(int group, uint64_t superblock) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", group);
  FILE* info = std::fopen(path, "re");
  bool found = false;
  char* line = nullptr;
  size_t room = 0;
  uint64_t marked;
  while (info != nullptr && getline(&line, &room, info) > 0)
    found = found || (std::sscanf(line, "fanotify sdev:%" SCNx64, &marked) == 1 && marked == superblock);
  std::free(line);
  if (info != nullptr)
    std::fclose(info);
  return found;
}

} // namespace hsm
