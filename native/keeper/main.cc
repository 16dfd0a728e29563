// hsm-keeper: owns the fanotify group, answers resident files itself, remembers every stub event until it is
// answered, and keeps the daemon running. It has no policy and parses no file content; docs/design.md
// "Processes".
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "denier.h"
#include "group.h"
#include "pending.h"
#include "readers.h"
#include "worker.h"

namespace hsm {
namespace {

constexpr unsigned kReaderThreads = 4;
constexpr int kTickMs = 100;
constexpr int kMostFds = 1'048'576;
constexpr int64_t kStopPatienceMs = 8000;
constexpr int64_t kShortLifeMs = 2000;
constexpr int64_t kMostRestartDelayMs = 5000;
// Documented exit codes (docs/operations.md).
constexpr int kExitFailed = 1, kExitRefused = 5;

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

struct Options {
  std::string lockFile, socketPath;
  std::vector<Filesystem> filesystems;
  std::vector<std::string> command;
  int group = -1; // of a keeper that died; the daemon that held it became this process
};

bool Parse(int count, char** words, Options* options) {
  for (int i = 1; i < count; i++) {
    const std::string word = words[i];
    if (word == "--") {
      options->command.assign(words + i + 1, words + count);
      break;
    }
    if (i + 1 == count)
      return false;
    const std::string value = words[++i];
    if (word == "--lock")
      options->lockFile = value;
    else if (word == "--takeover")
      options->socketPath = value;
    else if (word == "--group")
      options->group = std::atoi(value.c_str());
    else if (word == "--filesystem")
      options->filesystems.push_back(Filesystem{value});
    else
      return false;
  }
  return !options->lockFile.empty() && !options->socketPath.empty() && !options->filesystems.empty() &&
         !options->command.empty();
}

// One daemon per state folder. The lock lives as long as the keeper or the denier's parent does; the kernel
// drops it.
bool Lock(const std::string& file, int* lock) {
  *lock = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) != 0)
    return false;
  char pid[32];
  const int length = std::snprintf(pid, sizeof pid, "%d\n", getpid());
  return ftruncate(*lock, 0) == 0 && pwrite(*lock, pid, static_cast<size_t>(length), 0) == length;
}

// sd_notify(3) without libsystemd.
void Notify(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr)
    return;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length == 0 || length >= sizeof address.sun_path)
    return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@')
    address.sun_path[0] = '\0';
  const int out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (out < 0)
    return;
  (void)sendto(out, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  close(out);
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

class Keeper {
public:
  explicit Keeper(Options options)
      : options_(std::move(options)), pending_(group_), readers_(group_, pending_, options_.filesystems,
                                                                 [this] {
                                                                   const uint64_t one = 1;
                                                                   (void)!write(wake_, &one, sizeof one);
                                                                 }),
        worker_(options_.command, group_, pending_, options_.filesystems,
                [this](const StubEvent& event) { Watch(event); }) {}

  int Run();

private:
  int Fail(const std::string& message, int code) {
    std::fprintf(stderr, "hsm: %s\n", message.c_str());
    return code;
  }
  void AdoptOrphans();
  std::string Guard();
  bool StartWorker();
  void Add(int fd, uint32_t events, uint64_t tag);
  void Watch(const StubEvent& event);
  void WaiterGone(uint64_t id);
  void OnSignal();
  void OnWorkerEnd(int exitCode);
  void OnReady();
  void Tick();
  int Stop();

  // Tags of epoll events; larger ones are kWaiter + the id of a pending event.
  enum : uint64_t { kSignal = 1, kWake, kWorkerSocket, kWaiter };

  Options options_;
  Group group_;
  Pending pending_;
  Readers readers_;
  Worker worker_;
  int lock_ = -1, epoll_ = -1, wake_ = -1, signals_ = -1;
  bool tookOver_ = false, everReady_ = false, stopping_ = false, done_ = false;
  int exitCode_ = 0;
  int64_t startedAt_ = 0, startAgainAt_ = -1, stopBy_ = -1, restartDelay_ = 0;
};

// The events that a dead keeper had taken are known by fd number only, and so are answered by trying every
// number: their readers get EAGAIN, never zeros.
void Keeper::AdoptOrphans() {
  fcntl(options_.group, F_SETFD, FD_CLOEXEC);
  if (options_.group > 3)
    close_range(3, static_cast<unsigned>(options_.group) - 1, 0);
  close_range(static_cast<unsigned>(options_.group) + 1, ~0U, 0);
  group_.Adopt(options_.group);
  int denied = 0;
  for (int number = 0; number < kMostFds; number++) {
    const fanotify_response answer{number, DenyWith(EAGAIN)};
    if (write(options_.group, &answer, sizeof answer) == sizeof answer)
      denied++;
  }
  std::fprintf(stderr, "hsm-keeper: took over from a keeper that died; %d readers must try again\n", denied);
}

std::string Keeper::Guard() {
  int predecessor = -1;
  const int inherited =
      options_.group >= 0 ? options_.group : TakeOverGroup(options_.socketPath, &predecessor);
  tookOver_ = inherited >= 0;
  if (tookOver_)
    group_.Adopt(inherited);
  else if (std::string problem = group_.Open(); !problem.empty())
    return problem;
  for (Filesystem& filesystem : options_.filesystems)
    if (std::string problem = group_.Guard(filesystem); !problem.empty())
      return problem; // a predecessor that gets no answer goes on denying
  if (predecessor >= 0) {
    (void)!send(predecessor, "k", 1, MSG_NOSIGNAL);
    close(predecessor);
  }
  return "";
}

void Keeper::Add(int fd, uint32_t events, uint64_t tag) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = tag;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0 && errno == EEXIST)
    epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

bool Keeper::StartWorker() {
  startAgainAt_ = -1;
  startedAt_ = NowMs();
  if (!worker_.Start())
    return false;
  Add(worker_.socket(), EPOLLIN, kWorkerSocket);
  readers_.set_worker(worker_.pid());
  return true;
}

void Keeper::Watch(const StubEvent& event) {
  if (event.pidfd >= 0)
    Add(event.pidfd, EPOLLIN | EPOLLONESHOT, kWaiter + event.id);
}

void Keeper::WaiterGone(uint64_t id) {
  // The reader is dead, the kernel no longer asks; this frees the fd and tells the daemon.
  if (pending_.Answer(id, EAGAIN))
    worker_.SendGone(id);
}

void Keeper::OnSignal() {
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      int code;
      if (worker_.Reap(&code))
        OnWorkerEnd(code);
    } else if (info.ssi_signo == SIGHUP) {
      std::fprintf(stderr,
                   "hsm-keeper: %llu questions about resident files, %llu events that could not be opened, "
                   "%zu readers wait\n",
                   static_cast<unsigned long long>(readers_.resident()),
                   static_cast<unsigned long long>(readers_.unreadable()), pending_.Count());
    } else if (!stopping_) {
      stopping_ = true;
      stopBy_ = NowMs() + kStopPatienceMs;
      Notify("STOPPING=1");
      if (worker_.alive())
        worker_.Signal(SIGTERM);
      else
        done_ = true;
    }
  }
}

void Keeper::OnWorkerEnd(int exitCode) {
  worker_.Receive(); // what it said last
  readers_.set_worker(0);
  if (stopping_ || worker_.stopped()) {
    done_ = true;
    return;
  }
  if (!everReady_) {
    // It never served anybody: a configuration that cannot work is reported, not tried for ever.
    exitCode_ = exitCode == 0 ? kExitFailed : exitCode;
    done_ = true;
    return;
  }
  const bool shortLife = NowMs() - startedAt_ < kShortLifeMs;
  restartDelay_ = shortLife ? std::min(kMostRestartDelayMs, restartDelay_ * 2 + 100) : 0;
  std::fprintf(stderr, "hsm-keeper: the daemon ended with %d; %zu readers wait; starting it again\n",
               exitCode, pending_.Count());
  startAgainAt_ = NowMs() + restartDelay_;
}

void Keeper::OnReady() {
  if (everReady_ || !worker_.ready())
    return;
  everReady_ = true;
  std::printf("ready\n");
  std::fflush(stdout);
  Notify("READY=1\nSTATUS=stubs are guarded");
}

void Keeper::Tick() {
  readers_.AddThreadIfStuck();
  if (startAgainAt_ >= 0 && NowMs() >= startAgainAt_ && !StartWorker())
    startAgainAt_ = NowMs() + kMostRestartDelayMs;
  if (stopBy_ >= 0 && NowMs() >= stopBy_ && worker_.alive()) {
    std::fprintf(stderr, "hsm-keeper: the daemon did not stop in time: killed\n");
    worker_.Signal(SIGKILL);
    stopBy_ = NowMs() + kStopPatienceMs;
  }
}

int Keeper::Run() {
  std::signal(SIGPIPE, SIG_IGN);
  if (options_.group >= 0)
    AdoptOrphans();
  RaiseLimits();
  if (!Lock(options_.lockFile, &lock_))
    return Fail("a daemon already runs for this configuration (it holds " + options_.lockFile + ")",
                kExitRefused);
  sigset_t handled;
  sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD})
    sigaddset(&handled, signal);
  sigprocmask(SIG_BLOCK, &handled, nullptr);
  signals_ = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (signals_ < 0 || wake_ < 0 || epoll_ < 0)
    return Fail(std::string("keeper: ") + std::strerror(errno), kExitFailed);
  if (const std::string problem = Guard(); !problem.empty())
    return Fail(problem, kExitFailed);
  Add(signals_, EPOLLIN, kSignal);
  Add(wake_, EPOLLIN, kWake);
  if (!StartWorker())
    return kExitFailed;
  readers_.Start(kReaderThreads);

  bool blocked = false;
  while (!done_) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_, events, 64, kTickMs);
    for (int i = 0; i < count; i++) {
      const uint64_t tag = events[i].data.u64;
      uint64_t drained;
      if (tag == kSignal)
        OnSignal();
      else if (tag == kWake)
        (void)!read(wake_, &drained, sizeof drained);
      else if (tag == kWorkerSocket && worker_.alive() && !worker_.Receive())
        epoll_ctl(epoll_, EPOLL_CTL_DEL, worker_.socket(), nullptr);
      else if (tag > kWaiter)
        WaiterGone(tag - kWaiter);
    }
    OnReady();
    const bool blockedNow = worker_.alive() && !worker_.Deliver();
    if (blockedNow != blocked && worker_.alive()) {
      epoll_event event = {};
      event.events = blockedNow ? EPOLLIN | EPOLLOUT : EPOLLIN;
      event.data.u64 = kWorkerSocket;
      epoll_ctl(epoll_, EPOLL_CTL_MOD, worker_.socket(), &event);
    }
    blocked = blockedNow;
    Tick();
  }
  return Stop();
}

// Readers that still wait are sent away; if there are stubs, a child goes on denying before this process
// ends.
int Keeper::Stop() {
  readers_.set_deny(true);
  readers_.Stop(1000);
  pending_.AnswerAll(EAGAIN);
  if (!worker_.stubsLeft() || (!everReady_ && !tookOver_))
    return exitCode_;
  const pid_t child = fork();
  if (child < 0)
    return Fail("cannot leave a process behind that denies access to stubs: they read as zeros until the "
                "next 'hsm daemon'",
                kExitFailed);
  if (child > 0)
    return exitCode_;
  setsid();
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int stream : {0, 1, 2})
    dup2(null, stream);
  close(lock_);
  close(epoll_);
  close(signals_);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  RunDenier(options_.socketPath, group_, readers_, options_.filesystems);
}

} // namespace
} // namespace hsm

int main(int count, char** words) {
  hsm::Options options;
  if (!hsm::Parse(count, words, &options)) {
    std::fprintf(
        stderr,
        "usage: hsm-keeper --lock FILE --takeover SOCKET --filesystem PATH... -- DAEMON [ARGUMENT...]\n"
        "hsm-keeper is started by 'hsm daemon'\n");
    return 2;
  }
  return hsm::Keeper(std::move(options)).Run();
}
