#include "holders.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <iterator>
#include <sys/syscall.h>
#include <unistd.h>

#include "mounts.h"
#include "table.h"

namespace hsm {
namespace {

// Groups of others are those of virus scanners and the like: who has no table of events is none of hsm.
bool Holds(const std::string& process, const std::vector<Filesystem>& filesystems) {
  DIR* fds = opendir((process + "/fd").c_str());
  if (fds == nullptr)
    return false;
  std::vector<int> groups;
  bool hasTable = false;
  while (const dirent* fd = readdir(fds)) {
    char target[64] = {};
    if (readlinkat(dirfd(fds), fd->d_name, target, sizeof target - 1) <= 0)
      continue;
    if (std::strcmp(target, "anon_inode:[fanotify]") == 0)
      groups.push_back(std::atoi(fd->d_name));
    hasTable = hasTable || std::strcmp(target, kTableLink) == 0;
  }
  closedir(fds);
  const int pidfd =
      !hasTable || groups.empty()
          ? -1
          : static_cast<int>(syscall(SYS_pidfd_open, std::atoi(process.c_str() + sizeof "/proc"), 0));
  bool found = false;
  for (const int number : groups) {
    const int group = pidfd < 0 || found ? -1 : static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, number, 0));
    // It has a table and a group, and may not be asked.
    found = found || (pidfd >= 0 && group < 0 && (errno == EPERM || errno == EACCES));
    if (group < 0)
      continue;
    found = std::any_of(filesystems.begin(), filesystems.end(),
                        [group](const Filesystem& each) { return GroupGuards(group, each.path); });
    close(group);
  }
  if (pidfd >= 0)
    close(pidfd);
  return found;
}

std::string NameOf(const std::string& process) {
  char name[32] = {};
  const int file = open((process + "/comm").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return "";
  const ssize_t length = read(file, name, sizeof name - 1);
  close(file);
  return length > 0 ? std::string(name, static_cast<size_t>(length) - 1) : "";
}

} // namespace

std::string HoldersOf(const std::vector<Filesystem>& filesystems) {
  std::vector<Filesystem> mounted;
  std::copy_if(filesystems.begin(), filesystems.end(), std::back_inserter(mounted),
               [](const Filesystem& each) { return MountAt(each.path).isThere; });
  std::string holders;
  DIR* processes = opendir("/proc");
  while (const dirent* process = processes == nullptr ? nullptr : readdir(processes)) {
    if (!std::isdigit(static_cast<unsigned char>(process->d_name[0])))
      continue;
    const std::string path = std::string("/proc/") + process->d_name;
    if (std::atoi(process->d_name) != getpid() && Holds(path, mounted))
      holders += (holders.empty() ? "" : ", ") + std::string(process->d_name) + " (" + NameOf(path) + ")";
  }
  if (processes != nullptr)
    closedir(processes);
  return holders;
}

} // namespace hsm
