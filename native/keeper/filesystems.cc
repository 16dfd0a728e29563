// The keeper's filesystems while it runs: they are unmounted and mounted again, and the worker lets go of
// them.
#include <cstdio>
#include <poll.h>

#include "keeper.h"
#include "mounts.h"

namespace hsm {
namespace {

void Close(Filesystem& filesystem) {
  close(filesystem.rootFd);
  close(filesystem.treeFd);
  filesystem.rootFd = filesystem.treeFd = -1;
}

} // namespace

// Guards what is mounted. At least one filesystem must be, but for an heir: readers may wait for it.
std::string Keeper::Guard() {
  size_t guarded = 0;
  for (Filesystem& filesystem : options_.filesystems) {
    const Mount mount = MountAt(filesystem.path);
    if (!mount.isThere) {
      std::fprintf(stderr, "hsm-keeper: %s is not mounted\n", filesystem.path.c_str());
      continue;
    }
    table_.AddSuperblock(mount.superblock);
    if (std::string problem = group_.Guard(filesystem); !problem.empty())
      return problem; // a predecessor that gets no confirmation goes on as it was
    filesystem.superblock = mount.superblock;
    filesystem.view = View::kSeen;
    guarded++;
  }
  return guarded > 0 || options_.inherited.group >= 0 ? "" : "no filesystem is mounted";
}

// Takes what was mounted, and sees what is no longer there. Cheap; to be called whenever mounts changed.
void Keeper::CheckMounts() {
  for (Filesystem& filesystem : options_.filesystems) {
    const Mount mount = MountAt(filesystem.path);
    const View before = filesystem.view;
    // A denier that was relieved may have taken it for gone in its last moment.
    if (filesystem.rootFd >= 0)
      table_.AddSuperblock(filesystem.superblock);
    if (!mount.isThere)
      filesystem.view = View::kAbsent;
    else if (filesystem.rootFd >= 0)
      filesystem.view = mount.superblock == filesystem.superblock ? View::kSeen : View::kAnother;
    else
      filesystem.view = Take(filesystem, mount) ? View::kSeen : View::kAnother;
    if (filesystem.view == before)
      continue;
    filesystem.told = false;
    // Whose it is, nobody knows; stubs on it must not be zeros.
    if (filesystem.view == View::kAnother && IsManagedType(mount.type)) {
      guardsStranger_ = true;
      table_.AddSuperblock(mount.superblock);
      if (const std::string problem = group_.GuardPath(filesystem.path); !problem.empty())
        std::fprintf(stderr, "hsm-keeper: %s\n", problem.c_str());
    }
  }
  TellWorker();
}

// False when it is another filesystem than the one before, or cannot be guarded.
bool Keeper::Take(Filesystem& filesystem, const Mount& mount) {
  if (!IsManagedType(mount.type))
    return false;
  const bool wasGuarded = GroupGuards(group_.fd(), filesystem.path);
  table_.AddSuperblock(mount.superblock);
  Filesystem next;
  next.path = filesystem.path;
  const std::string problem = group_.Guard(next);
  if (!problem.empty())
    std::fprintf(stderr, "hsm-keeper: %s\n", problem.c_str());
  if (!problem.empty() || (!filesystem.uuid.empty() && next.uuid != filesystem.uuid)) {
    Close(next);
    return false;
  }
  next.superblock = mount.superblock;
  next.told = false;
  next.unguarded = !wasGuarded;
  if (!wasGuarded)
    std::fprintf(stderr,
                 "hsm-keeper: %s was mounted unguarded: who opened a stub in the moment before may have read "
                 "zeros\n",
                 filesystem.path.c_str());
  readers_.WithFilesystems([&] { filesystem = next; });
  return true;
}

// The worker has closed its own fd. The filesystem, and its mark, end with their last mount, wherever that
// is.
void Keeper::LetGo(uint16_t index) {
  if (index >= options_.filesystems.size())
    return;
  Filesystem& filesystem = options_.filesystems[index];
  Close(filesystem);
  // The number may be another filesystem's next.
  readers_.WithFilesystems([&] { filesystem.device = 0; });
  filesystem.view = View::kAbsent;
  filesystem.told = false;
  CheckMounts(); // mounted again meanwhile
}

// Before any event of a filesystem that was just taken.
void Keeper::TellWorker() {
  if (!worker_.ready())
    return;
  for (size_t i = 0; i < options_.filesystems.size(); i++) {
    Filesystem& filesystem = options_.filesystems[i];
    if (filesystem.told || !worker_.SendFilesystem(static_cast<uint16_t>(i)))
      continue;
    filesystem.told = true;
    filesystem.given = filesystem.rootFd >= 0;
  }
}

} // namespace hsm
