#include "process.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "table.h"

namespace hsm {
namespace {

constexpr int kPatienceMs = 1000;

} // namespace

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

void SleepMs(int64_t duration) {
  const timespec pause{duration / 1000, duration % 1000 * 1'000'000};
  nanosleep(&pause, nullptr);
}

Locked TryLock(const std::string& file, int* lock) {
  *lock = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (*lock < 0)
    return Locked::kNoFile;
  if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
    return Locked::kYes;
  close(*lock);
  *lock = -1;
  return Locked::kByAnother;
}

void WritePid(int lock) {
  char pid[32];
  const int length = std::snprintf(pid, sizeof pid, "%d\n", getpid());
  // On a full disk it stays as it was.
  if (ftruncate(lock, 0) != 0 || pwrite(lock, pid, static_cast<size_t>(length), 0) != length)
    std::perror("hsm-keeper: the pid in the lock file");
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

uint64_t StartTimeOf(pid_t pid) {
  char path[32], line[1024] = {};
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return 0;
  (void)!read(file, line, sizeof line - 1);
  close(file);
  // The program's name, in brackets, may have spaces; the start is the 20th field after it
  // (proc_pid_stat(5)).
  const char* at = std::strrchr(line, ')');
  for (int field = 0; at != nullptr && field < 20; field++)
    at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at, nullptr, 10);
}

void AwaitEnd(pid_t pid, uint64_t startTime) {
  pollfd end = {static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0};
  if (end.fd < 0)
    return;
  bool said = false;
  while (StartTimeOf(pid) == startTime && poll(&end, 1, kPatienceMs) == 0) {
    if (!said)
      std::fprintf(stderr, "hsm-keeper: waits for the end of process %d, which still reads the group\n", pid);
    said = true;
  }
  close(end.fd);
}

} // namespace hsm
