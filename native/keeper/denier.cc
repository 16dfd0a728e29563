#include "denier.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
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
               std::vector<Filesystem>& filesystems, const std::function<void()>& onTick) {
  // The private mounts would keep the devices busy after an umount.
  for (Filesystem& filesystem : filesystems) {
    close(filesystem.rootFd);
    close(filesystem.treeFd);
    filesystem.rootFd = filesystem.treeFd = -1;
  }
  readers.set_deny(true);
  readers.Start(kThreads);
  int listener = -1, soon = 0;
  const int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  while (GuardsAnything(holdings.group)) {
    onTick();
    if (listener < 0)
      listener = ListenForSuccessor(socketPath);
    pollfd wait[2] = {{mounts, POLLPRI, 0}, {listener, POLLIN, 0}};
    poll(wait, 2, readers.stuck() || soon > 0 ? kStuckTickMs : kTickMs);
    // The superblock, and its mark, go some time after the last mount.
    soon = wait[0].revents != 0 ? kSoonTicks : std::max(0, soon - 1);
    readers.AddThreadsIfStuck();
    if ((wait[1].revents & POLLIN) == 0)
      continue;
    // Only one process may read a group.
    readers.Stop(kReaderPatienceMs);
    if (HandOver(listener, holdings))
      return;
    readers.Start(kThreads);
  }
  unlink(socketPath.c_str());
}

} // namespace hsm
