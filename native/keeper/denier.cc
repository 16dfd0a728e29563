#include "denier.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "../superblock.h"
#include "mounts.h"

namespace hsm {
namespace {

constexpr int kReaderPatienceMs = 2000, kTickMs = 1000, kStuckTickMs = 10, kSoonTicks = 200;
constexpr unsigned kThreads = 2;
constexpr int kLooks = 3;

// Of this very filesystem, which may be mounted or unmounted while it is looked at: only what is seen several
// times in a row counts, since a filesystem that is taken for another one loses its guard.
bool LacksMark(int group, const std::string& path, uint64_t superblock) {
  for (int look = 0; look < kLooks; look++) {
    errno = 0;
    if (GroupGuards(group, path) || errno != ENOENT)
      return false;
    const Mount mount = MountAt(path);
    if (!mount.isThere || mount.superblock != superblock)
      return false;
  }
  return true;
}

// Also sees a filesystem that lives on in a container only: the kernel drops the mark with the superblock.
bool GuardsAnything(const Holdings& holdings, Table& table, const std::vector<Filesystem>& filesystems) {
  std::vector<uint64_t> unmarked;
  for (const Filesystem& filesystem : filesystems) {
    const Mount mount = MountAt(filesystem.path);
    if (!mount.isThere)
      continue;
    if (GroupGuards(holdings.group, filesystem.path))
      table.AddSuperblock(mount.superblock);
    else if (LacksMark(holdings.group, filesystem.path, mount.superblock))
      unmarked.push_back(mount.superblock); // another one, that got the number of one that went
  }
  bool found = table.hasMoreSuperblocks();
  for (const uint64_t superblock : table.Superblocks()) {
    if (std::find(unmarked.begin(), unmarked.end(), superblock) != unmarked.end() ||
        !SuperblockLives(superblock))
      table.RemoveSuperblock(superblock);
    else
      found = true;
  }
  return found;
}

} // namespace

void RunDenier(const std::string& socketPath, const Holdings& holdings, Table& table, Readers& readers,
               std::vector<Filesystem>& filesystems, const std::function<bool()>& onTick) {
  // While they are held by this process nothing can go.
  GuardsAnything(holdings, table, filesystems);
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
  for (int soon = 0; GuardsAnything(holdings, table, filesystems);) {
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
