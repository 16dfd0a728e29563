#include "mounting.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper.h"
#include "process.h"

namespace hsm {
namespace {

// What the kernel says of a failed fsconfig(2), the last of its lines: "e ext4: bad option".
std::string WhyNot(int context, int error) {
  std::string why;
  char line[512];
  for (ssize_t length; (length = read(context, line, sizeof line)) > 0;)
    if (line[0] == 'e' && length > 2)
      why.assign(line + 2, static_cast<size_t>(length) - 2);
  while (!why.empty() && why.back() == '\n')
    why.pop_back();
  return why.empty() ? std::strerror(error) : why + " (" + std::strerror(error) + ")";
}

bool Set(int context, const std::string& setting) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos)
    return fsconfig(context, FSCONFIG_SET_FLAG, setting.c_str(), nullptr, 0) == 0;
  return fsconfig(context, FSCONFIG_SET_STRING, setting.substr(0, equals).c_str(),
                  setting.c_str() + equals + 1, 0) == 0;
}

// The fanotify group of another process; -1 and errno. A keeper has one.
int GroupOf(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  DIR* fds = process < 0 ? nullptr : opendir(folder.c_str());
  if (fds == nullptr) {
    close(process);
    return -1;
  }
  int group = -1;
  errno = ENOENT;
  while (const dirent* entry = readdir(fds)) {
    char target[64] = {};
    if (readlinkat(dirfd(fds), entry->d_name, target, sizeof target - 1) <= 0 ||
        std::strcmp(target, "anon_inode:[fanotify]") != 0)
      continue;
    group = static_cast<int>(syscall(SYS_pidfd_getfd, process, std::atoi(entry->d_name), 0));
    break;
  }
  const int error = errno;
  closedir(fds);
  close(process);
  errno = error;
  return group;
}

} // namespace

std::string NewMount::Prepare(const MountRequest& request) {
  const std::string cannot = "cannot mount " + request.source + " at " + request.target + ": ";
  const int context = fsopen(request.type.c_str(), FSOPEN_CLOEXEC);
  if (context < 0)
    return cannot + (errno == ENODEV ? "the kernel does not know " + request.type : std::strerror(errno));
  std::string problem;
  bool fine = fsconfig(context, FSCONFIG_SET_STRING, "source", request.source.c_str(), 0) == 0;
  for (const std::string& setting : request.settings) {
    if (!fine)
      break;
    fine = Set(context, setting);
    if (!fine)
      problem = "option " + setting + ": ";
  }
  fine = fine && fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
  if (fine) {
    fd_ = fsmount(context, FSMOUNT_CLOEXEC, request.attributes);
    fine = fd_ >= 0;
  }
  if (!fine)
    problem = cannot + problem + WhyNot(context, errno);
  close(context);
  return problem;
}

std::string NewMount::Attach(const std::string& target) {
  const bool shown = move_mount(fd_, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0;
  const std::string problem = shown ? "" : "cannot mount at " + target + ": " + std::strerror(errno);
  close(fd_); // or it would keep the filesystem busy
  fd_ = -1;
  return problem;
}

int MountUnderKeeper(const MountRequest& request) {
  NewMount mount;
  Group group;
  std::string problem = mount.Prepare(request);
  bool gone = false;
  if (problem.empty()) {
    const int fd = GroupOf(request.keeper);
    gone = fd < 0 && (errno == ESRCH || errno == ENOENT || errno == EBADF);
    if (fd < 0)
      problem = "the keeper (pid " + std::to_string(request.keeper) +
                ") cannot be reached: " + std::strerror(errno);
    group.Adopt(fd);
  }
  if (problem.empty())
    problem = group.GuardMount(mount.fd(), request.target);
  if (problem.empty())
    problem = mount.Attach(request.target);
  if (problem.empty())
    return 0;
  std::fprintf(stderr, "hsm: %s\n", problem.c_str());
  return gone ? kExitRefused : kExitFailed;
}

// Nobody but the witness of this process can become keeper or denier after Succeed(): the lock is taken.
int Keeper::MountAndDeny() {
  std::signal(SIGPIPE, SIG_IGN);
  RaiseLimits();
  NewMount mount;
  if (const std::string problem = mount.Prepare(options_.mount); !problem.empty())
    return Fail(problem, kExitFailed);
  if (const int code = TakeHoldings(); code != 0)
    return code;
  if (const std::string problem = Reserve(); !problem.empty())
    return Fail(problem, kExitFailed);
  if (!orphans_.empty())
    return Fail("readers wait for a daemon that is about to start", kExitRefused);
  if (const std::string problem = group_.GuardMount(mount.fd(), options_.mount.target); !problem.empty())
    return Fail(problem, kExitFailed);
  if (!Succeed())
    return Fail("the guard went to another process meanwhile", kExitRefused);
  const std::string problem = mount.Attach(options_.mount.target);
  if (!problem.empty() && !adopted_)
    return Fail(problem, kExitFailed);
  if (!problem.empty())
    Report(problem, kExitFailed);
  LeaveDenier();
  return problem.empty() ? 0 : kExitFailed;
}

} // namespace hsm
