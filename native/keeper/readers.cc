#include "readers.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

namespace hsm {
namespace {

// Room for one event with its pidfd (8 bytes) and range (24 bytes) records, and never for two.
constexpr size_t kOneEvent = sizeof(fanotify_event_metadata) + 8 + 24;
constexpr int kMostThreads = 4096;
// So long threads that were added stay, ns: twice the usual lease-break-time.
constexpr int64_t kKept = 90'000'000'000;
// For the events of resident files, for files on their way to the daemon, for everything else.
constexpr size_t kSpareFds = 2 * kMostThreads + 512;

int PidfdOf(const fanotify_event_metadata* event) {
  const char* at = reinterpret_cast<const char*>(event) + event->metadata_len;
  const char* end = reinterpret_cast<const char*>(event) + event->event_len;
  while (at + sizeof(fanotify_event_info_header) <= end) {
    fanotify_event_info_header header;
    std::memcpy(&header, at, sizeof header);
    if (header.len < sizeof header)
      break;
    if (header.info_type == FAN_EVENT_INFO_TYPE_PIDFD) {
      int pidfd;
      std::memcpy(&pidfd, at + sizeof header, sizeof pidfd);
      return pidfd;
    }
    at += header.len;
  }
  return -1;
}

// At least one reader's worth, however low the limit is.
size_t FdLimit() {
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  return std::max<size_t>(files.rlim_cur, kSpareFds + 1);
}

int64_t Nanoseconds(int64_t seconds, int64_t rest) {
  return seconds * 1'000'000'000 + rest;
}

int64_t MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Nanoseconds(now.tv_sec, now.tv_nsec);
}

// As the kernel stamps files.
int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return Nanoseconds(now.tv_sec, now.tv_nsec);
}

// A date of birth to come tells of a clock that was set back, and nothing of the file.
bool WasBornSince(int fd, int64_t time) {
  struct statx file = {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &file) != 0 || (file.stx_mask & STATX_BTIME) == 0)
    return false;
  const int64_t birth = Nanoseconds(file.stx_btime.tv_sec, file.stx_btime.tv_nsec);
  return time <= birth && birth <= Now();
}

// Or running; false for one that is blocked or gone (proc(5), /proc/pid/stat).
bool IsRunnable(pid_t thread) {
  char path[64], line[256];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  const ssize_t length = read(fd, line, sizeof line - 1);
  close(fd);
  line[std::max<ssize_t>(length, 0)] = '\0';
  const char* name = std::strrchr(line, ')');
  return name != nullptr && std::strncmp(name, ") R", 3) == 0;
}

} // namespace

std::string ExecutableOf(pid_t pid) {
  char link[64], target[512];
  std::snprintf(link, sizeof link, "/proc/%d/exe", pid);
  const ssize_t length = readlink(link, target, sizeof target);
  return length > 0 ? std::string(target, static_cast<size_t>(length)) : std::string();
}

uid_t OwnerOf(pid_t pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d", pid);
  struct stat status;
  return stat(path, &status) == 0 ? status.st_uid : static_cast<uid_t>(-1);
}

Readers::Readers(Group& group, Pending& pending, const std::vector<Filesystem>& filesystems,
                 std::function<void()> onStub)
    : group_(group), pending_(pending), filesystems_(filesystems), onStub_(std::move(onStub)) {}

void Readers::Start(unsigned threads) {
  fdLimit_ = FdLimit();
  // Interrupts a blocked read() when the threads are to end; must have a handler without SA_RESTART.
  struct sigaction interrupt = {};
  interrupt.sa_handler = [](int) {};
  sigaction(SIGUSR1, &interrupt, nullptr);
  stop_ = false;
  least_ = static_cast<int>(threads);
  for (unsigned i = 0; i < threads; i++)
    StartOne();
}

void Readers::StartOne() {
  std::lock_guard lock(mutex_);
  if (running_ >= kMostThreads)
    return;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 * 1024);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, &Readers::Main, this) == 0) {
    running_++;
    threads_.push_back(thread);
  }
  pthread_attr_destroy(&attributes);
}

void Readers::Deny() {
  int64_t never = 0;
  deniesSince_.compare_exchange_strong(never, Now());
}

void Readers::Stop(int patienceMs) {
  stop_ = true;
  for (int waited = 0; running_ > 0 && waited < patienceMs; waited += 2) {
    {
      std::lock_guard lock(mutex_);
      for (const pthread_t thread : threads_)
        pthread_kill(thread, SIGUSR1);
    }
    const timespec pause{0, 2'000'000};
    nanosleep(&pause, nullptr);
  }
  std::lock_guard lock(mutex_);
  threadIds_.clear();
  for (const pthread_t thread : threads_) {
    if (running_ == 0)
      pthread_join(thread, nullptr);
    else
      pthread_detach(thread);
  }
  threads_.clear();
}

void Readers::WithFilesystems(const std::function<void()>& change) {
  std::unique_lock lock(filesystemsMutex_);
  change();
}

bool Readers::hasManyFds() {
  return 2 * pending_.Count() + kSpareFds <= FdLimit();
}

void* Readers::Main(void* self) {
  static_cast<Readers*>(self)->Loop();
  return nullptr;
}

void Readers::Loop() {
  {
    std::lock_guard lock(mutex_);
    threadIds_.push_back(gettid());
  }
  alignas(fanotify_event_metadata) char buffer[kOneEvent];
  while (!stop_) {
    // Without a free fd the kernel would deny access; what is not read yet just waits.
    if (pending_.Count() + kSpareFds > fdLimit_) {
      const timespec pause{0, 10'000'000};
      nanosleep(&pause, nullptr);
      continue;
    }
    const ssize_t length = read(group_.fd(), buffer, sizeof buffer);
    if (length < 0) {
      if (errno == EBADF || errno == EINVAL) {
        std::perror("hsm-keeper: read of the group");
        break;
      }
      if (errno != EINTR && errno != EAGAIN)
        CountUnreadable();
      continue;
    }
    taken_++;
    const int64_t takenAt = MonotonicNow();
    const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer);
    for (ssize_t left = length; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left))
      Handle(*event, PidfdOf(event), takenAt);
    if (running_ > least_ && !waitedBefore_ && MonotonicNow() - grownAt_ > kKept && Leaves())
      return;
  }
  running_--;
}

bool Readers::Leaves() {
  std::lock_guard lock(mutex_);
  if (stop_ || running_ <= least_)
    return false;
  std::erase_if(threads_, [](pthread_t thread) { return pthread_equal(thread, pthread_self()) != 0; });
  std::erase(threadIds_, gettid());
  pthread_detach(pthread_self());
  running_--;
  return true;
}

bool Readers::AnyIsRunnable() {
  std::lock_guard lock(mutex_);
  return std::any_of(threadIds_.begin(), threadIds_.end(), IsRunnable);
}

void Readers::AddThreadsIfStuck() {
  int waiting = 0;
  const uint64_t taken = taken_;
  const bool waits = ioctl(group_.fd(), FIONREAD, &waiting) == 0 && waiting > 0;
  if (waits && waitedBefore_ && taken == takenBefore_ && !AnyIsRunnable()) {
    grownAt_ = MonotonicNow();
    for (int more = std::max<int>(1, running_); more > 0; more--)
      StartOne();
  }
  waitedBefore_ = waits;
  takenBefore_ = taken;
}

void Readers::CountUnreadable() {
  unreadable_++;
  pending_.statistics().unreadable++;
}

void Readers::Handle(const fanotify_event_metadata& event, int pidfd, int64_t takenAt) {
  // Never with FAN_UNLIMITED_QUEUE: the kernel then waits for memory rather than lose an event.
  if (event.mask & FAN_Q_OVERFLOW) {
    std::fprintf(stderr, "hsm-keeper: the event queue overflowed: readers may have been let through\n");
    pending_.CountOverflow();
    onStub_();
    return;
  }
  if (event.fd < 0) {
    // The kernel could not open the file for us (read-only view, fd limit) and has denied the access itself.
    CountUnreadable();
    if (pidfd >= 0)
      close(pidfd);
    return;
  }
  const bool hasRecord =
      fgetxattr(event.fd, kStubXattr, nullptr, 0) >= 0 || (errno != ENODATA && errno != EOPNOTSUPP);
  // Blocks do not tell: large attributes take some, too.
  const bool hasData = lseek(event.fd, 0, SEEK_DATA) >= 0;
  struct stat status = {};
  const int64_t deniesSince = deniesSince_;
  if (!hasRecord && (hasData || (fstat(event.fd, &status) == 0 && status.st_size == 0) ||
                     (deniesSince != 0 && WasBornSince(event.fd, deniesSince)))) {
    resident_++;
    // An empty file may become a hollow one with a record under the very fd that it was made with (tar
    // --xattrs).
    if (hasData)
      group_.IgnoreInode(event.fd);
    group_.Respond(event.fd, 0);
    pending_.statistics().resident.fetch_add(1, std::memory_order_relaxed);
    pending_.statistics().CountTouch(static_cast<uint64_t>(MonotonicNow() - takenAt));
    close(event.fd);
    if (pidfd >= 0)
      close(pidfd);
    return;
  }
  // A hollow file without a record may be a stub that lost it: the daemon knows. While there is none, only
  // one that was made since cannot be.
  HandleStub(event, pidfd);
}

void Readers::HandleStub(const fanotify_event_metadata& event, int pidfd) {
  const bool own = event.pid == worker_ || event.pid == getpid();
  if (own || deniesSince_ != 0) {
    group_.Respond(event.fd, own ? EBUSY : EAGAIN);
    pending_.statistics().refused++;
    close(event.fd);
    if (pidfd >= 0)
      close(pidfd);
    return;
  }
  pending_.statistics().stubs++;
  StubEvent stub;
  stub.fd = event.fd;
  stub.pidfd = pidfd;
  // Where fds are scarce, a reader's event counts for more than noticing its death at once.
  if (!hasManyFds() && pidfd >= 0) {
    close(pidfd);
    stub.pidfd = -1;
  }
  stub.pid = event.pid;
  {
    std::shared_lock lock(filesystemsMutex_);
    stub.filesystem = FilesystemOf(filesystems_, event.fd);
    stub.device = stub.filesystem == kUnknownFilesystem ? 0 : filesystems_[stub.filesystem].device;
  }
  stub.preAccess = (event.mask & FAN_PRE_ACCESS) != 0;
  stub.handle = HandleOf(event.fd);
  pending_.Add(std::move(stub), [](StubEvent& added) {
    added.uid = OwnerOf(added.pid);
    added.exe = ExecutableOf(added.pid);
  });
  onStub_();
}

} // namespace hsm
