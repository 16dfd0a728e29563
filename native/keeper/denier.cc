#include "denier.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace hsm {
namespace {

constexpr int kReaderPatienceMs = 2000, kTickMs = 1000, kStuckTickMs = 10, kSoonTicks = 200;
constexpr unsigned kThreads = 2;

// proc_pid_fdinfo(5): a mark on a whole filesystem has a line with "sdev:". The kernel drops it with the
// superblock, so this sees a filesystem that lives on in a container too.
bool GuardsAnything(int group) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", group);
  FILE* info = std::fopen(path, "re");
  if (info == nullptr)
    return true;
  bool found = false;
  char* line = nullptr;
  size_t room = 0;
  while (!found && getline(&line, &room, info) > 0)
    found = std::strstr(line, " sdev:") != nullptr;
  std::free(line);
  std::fclose(info);
  return found;
}

} // namespace

void RunDenier(const std::string& socketPath, const Holdings& holdings, Readers& readers,
               std::vector<Filesystem>& filesystems, const std::function<bool()>& onTick) {
  // The private mounts would keep the devices busy after an umount.
  for (Filesystem& filesystem : filesystems) {
    close(filesystem.rootFd);
    close(filesystem.treeFd);
    filesystem.rootFd = filesystem.treeFd = -1;
  }
  readers.Deny();
  readers.Start(kThreads);
  Giver giver(socketPath, holdings);
  const int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  for (int soon = 0; GuardsAnything(holdings.group);) {
    if (!onTick()) {
      readers.Stop(kReaderPatienceMs);
      return;
    }
    // The superblock, and its mark, go some time after the last mount.
    const bool changed = giver.Wait(readers.stuck() || soon > 0 ? kStuckTickMs : kTickMs, mounts);
    soon = changed ? kSoonTicks : std::max(0, soon - 1);
    readers.AddThreadsIfStuck();
  }
  unlink(socketPath.c_str());
}

} // namespace hsm
