#include "process.h"

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "table.h"

namespace hsm {

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

Locked Lock(const std::string& file, int64_t patienceMs, int* lock) {
  *lock = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (*lock < 0)
    return Locked::kNoFile;
  for (const int64_t until = NowMs() + patienceMs; flock(*lock, LOCK_EX | LOCK_NB) != 0;) {
    if (NowMs() >= until)
      return Locked::kByAnother;
    const timespec pause{0, 5'000'000};
    nanosleep(&pause, nullptr);
  }
  char pid[32];
  const int length = std::snprintf(pid, sizeof pid, "%d\n", getpid());
  // For people; on a full disk it stays as it was.
  if (ftruncate(*lock, 0) != 0 || pwrite(*lock, pid, static_cast<size_t>(length), 0) != length)
    std::perror("hsm-keeper: the pid in the lock file");
  return Locked::kYes;
}

// Every waiting reader costs an fd for its event and one for its process, here and for a moment in the
// daemon.
void RaiseLimits() {
  rlimit files = {kMostFds, kMostFds};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  // The death of the keeper is worse than that of anything else on the machine.
  const int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    (void)!write(score, "-1000", 5);
    close(score);
  }
}

// What whoever started this process left open is not ours, but for the standard streams and what it handed
// over.
void CloseStrayFds(const Options& options) {
  std::vector<int> kept = {2,
                           options.inherited.group,
                           options.inherited.table,
                           options.stored.group,
                           options.stored.table,
                           options.witnessPipe};
  std::sort(kept.begin(), kept.end());
  int from = 3;
  for (const int fd : kept) {
    if (fd < from)
      continue;
    if (fd > from)
      close_range(static_cast<unsigned>(from), static_cast<unsigned>(fd) - 1, 0);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    from = fd + 1;
  }
  close_range(static_cast<unsigned>(from), ~0U, 0);
}

} // namespace hsm
