#include "mounts.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/fanotify.h>
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

// Takes a bit away that no mark of hsm has: nothing changes, and ENOENT tells that there is no mark. Never
// proc_pid_fdinfo(5): that walks all marks under the group's lock, and waits for itself for ever when a
// filesystem with evictable marks is unmounted meanwhile (docs/decisions/0017).
bool GroupGuards(int group, const std::string& path) {
  return fanotify_mark(group, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, FAN_MODIFY, AT_FDCWD, path.c_str()) == 0;
}

} // namespace hsm
