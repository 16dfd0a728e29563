#include "holders.h"

#include <algorithm>
#include <cctype>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "mounts.h"

namespace hsm {
namespace {

constexpr unsigned kClasses = FAN_CLASS_NOTIF | FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT;

// proc_pid_fdinfo(5): the group's class, and the superblocks that it marks. Groups of other classes are those
// of virus scanners and the like.
bool Guards(const std::string& fdinfo, const std::vector<uint64_t>& superblocks) {
  FILE* info = std::fopen(fdinfo.c_str(), "re");
  if (info == nullptr)
    return false;
  bool isPreContent = false, marks = false;
  char* line = nullptr;
  size_t room = 0;
  while (getline(&line, &room, info) > 0) {
    unsigned flags;
    uint64_t superblock;
    if (std::sscanf(line, "fanotify flags:%x", &flags) == 1)
      isPreContent = (flags & kClasses) == FAN_CLASS_PRE_CONTENT;
    else if (std::sscanf(line, "fanotify sdev:%" SCNx64, &superblock) == 1)
      marks = marks || std::find(superblocks.begin(), superblocks.end(), superblock) != superblocks.end();
  }
  std::free(line);
  std::fclose(info);
  return isPreContent && marks;
}

bool Holds(const std::string& process, const std::vector<uint64_t>& superblocks) {
  DIR* fds = opendir((process + "/fd").c_str());
  if (fds == nullptr)
    return false;
  bool found = false;
  while (const dirent* fd = found ? nullptr : readdir(fds)) {
    char target[32] = {};
    if (readlinkat(dirfd(fds), fd->d_name, target, sizeof target - 1) > 0 &&
        std::strcmp(target, "anon_inode:[fanotify]") == 0)
      found = Guards(process + "/fdinfo/" + fd->d_name, superblocks);
  }
  closedir(fds);
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
  std::vector<uint64_t> superblocks;
  for (const Filesystem& filesystem : filesystems)
    if (const uint64_t superblock = MountAt(filesystem.path).superblock; superblock != 0)
      superblocks.push_back(superblock);
  std::string holders;
  DIR* processes = opendir("/proc");
  while (const dirent* process = processes == nullptr ? nullptr : readdir(processes)) {
    if (!std::isdigit(static_cast<unsigned char>(process->d_name[0])))
      continue;
    const std::string path = std::string("/proc/") + process->d_name;
    if (std::atoi(process->d_name) != getpid() && Holds(path, superblocks))
      holders += (holders.empty() ? "" : ", ") + std::string(process->d_name) + " (" + NameOf(path) + ")";
  }
  if (processes != nullptr)
    closedir(processes);
  return holders;
}

} // namespace hsm
