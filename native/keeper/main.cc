// hsm-keeper: owns the fanotify group, answers resident files itself, remembers every stub event until it is
// answered, and keeps the daemon running. It has no policy and parses no file content; docs/design.md
// "Processes".
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "denier.h"
#include "group.h"
#include "handover.h"
#include "notify.h"
#include "options.h"
#include "pending.h"
#include "readers.h"
#include "table.h"
#include "witness.h"
#include "worker.h"

namespace hsm {
namespace {

constexpr unsigned kReaderThreads = 4;
constexpr int kTickMs = 100, kStuckTickMs = 10;
constexpr int kStopReadersMs = 1000;
constexpr int64_t kStopPatienceMs = 8000;
constexpr int64_t kShortLifeMs = 2000;
constexpr int64_t kMostRestartDelayMs = 5000;
// Another survivor of the same keeper may be ahead; a fork of the dead one holds its lock for a moment.
constexpr int64_t kLockPatienceMs = 2000;
// Events that a dead keeper had taken but not recorded have numbers at most so far above the recorded ones.
constexpr int kUnrecordedReach = 16'384;
// Documented exit codes (docs/operations.md).
constexpr int kExitFailed = 1, kExitRefused = 5;

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

enum class Locked { kYes, kByAnother, kNoFile };

// One daemon per state folder. The lock lives as long as the keeper does; the kernel drops it.
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

class Keeper {
public:
  explicit Keeper(Options options)
      : options_(std::move(options)), pending_(group_, table_, options_.filesystems),
        readers_(group_, pending_, options_.filesystems,
                 [this] {
                   const uint64_t one = 1;
                   (void)!write(wake_, &one, sizeof one);
                 }),
        worker_(options_, group_, table_, pending_, [this](const StubEvent& event) { Watch(event); }) {}

  int Run();
  // In place of a denier that died: `inherited` is denied.
  [[noreturn]] void DenyInherited();

private:
  int Fail(const std::string& message, int code);
  std::string TakeHoldings(int* predecessor);
  std::string AdoptTable(int fd);
  void AdoptEvents();
  std::string Guard();
  void ForgetStored();
  void StartWitness(unsigned generation);
  bool StartWorker();
  void Add(int fd, uint32_t events, uint64_t tag);
  void Watch(const StubEvent& event);
  void WaiterGone(uint64_t id);
  void OnSignal();
  void OnWorkerEnd(int exitCode);
  void OnReady();
  void Tick();
  int Stop();
  [[noreturn]] void Deny();
  Holdings Held() const { return {group_.fd(), table_.fd()}; }

  // Tags of epoll events; larger ones are kWaiter + the id of a pending event.
  enum : uint64_t { kSignal = 1, kWake, kWorkerSocket, kWaiter };

  Options options_;
  Group group_;
  Table table_;
  Pending pending_;
  Readers readers_;
  Worker worker_;
  Witness witness_;
  std::vector<StubEvent> orphans_;
  int lock_ = -1, epoll_ = -1, wake_ = -1, signals_ = -1;
  // adopted_: stubs are guarded already. hasReaders_: some wait, so this process cannot just give up.
  bool adopted_ = false, hasReaders_ = false, everReady_ = false, stopping_ = false, done_ = false;
  int exitCode_ = 0;
  int64_t startedAt_ = 0, startAgainAt_ = -1, witnessAgainAt_ = -1, stopBy_ = -1, restartDelay_ = 0;
};

int Keeper::Fail(const std::string& message, int code) {
  // As the command line tells errors (docs/operations.md); the message has nothing that JSON escapes but
  // quotes and backslashes of paths.
  if (options_.json) {
    std::string escaped;
    for (const char c : message) {
      if (c == '"' || c == '\\')
        escaped += '\\';
      escaped += c;
    }
    std::fprintf(stderr, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n",
                 code == kExitRefused ? "REFUSED" : "FAILED", escaped.c_str());
  } else {
    std::fprintf(stderr, "hsm: %s\n", message.c_str());
  }
  // Were the last fd of an inherited group closed, its readers would be let through.
  if (options_.inherited.group >= 0 && group_.fd() >= 0) {
    AdoptEvents();
    pending_.AnswerAll(EAGAIN);
    Deny();
  }
  witness_.Dismiss();
  return code;
}

// Reserves the numbers of the recorded events before anything else can get them.
std::string Keeper::AdoptTable(int fd) {
  if (std::string problem = table_.Adopt(fd); !problem.empty())
    return problem;
  orphans_ = table_.All();
  const int placeholder = open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (const StubEvent& event : orphans_)
    if (dup3(placeholder, event.fd, O_CLOEXEC) < 0)
      return std::string("a place for an event: ") + std::strerror(errno);
  close(placeholder);
  return "";
}

// From a process that died, from one that lives and hands over, from the service manager, or new.
std::string Keeper::TakeHoldings(int* predecessor) {
  Holdings holdings = options_.inherited;
  if (holdings.group < 0 && !TakeOver(options_.socketPath, &holdings, predecessor))
    holdings = options_.stored;
  adopted_ = holdings.group >= 0;
  if (!adopted_) {
    if (std::string problem = group_.Open(options_.readWriteEvents ? O_RDWR : O_RDONLY); !problem.empty())
      return problem;
    return table_.Create();
  }
  group_.Adopt(holdings.group);
  const std::string problem = AdoptTable(holdings.table);
  hasReaders_ = options_.inherited.group >= 0 || !orphans_.empty();
  return problem;
}

std::string Keeper::Guard() {
  for (Filesystem& filesystem : options_.filesystems)
    if (std::string problem = group_.Guard(filesystem); !problem.empty())
      return problem; // a predecessor that gets no confirmation goes on as it was
  return "";
}

// The recorded events are served on. Of those that a dead keeper had taken but not recorded only the number
// can be guessed: their readers get EAGAIN, never zeros.
void Keeper::AdoptEvents() {
  int denied = 0;
  std::sort(orphans_.begin(), orphans_.end(),
            [](const StubEvent& a, const StubEvent& b) { return a.fd < b.fd; });
  auto next = orphans_.begin();
  for (int number = 0; number <= table_.Highest() + kUnrecordedReach; number++) {
    if (next != orphans_.end() && next->fd == number) {
      ++next;
      continue;
    }
    const fanotify_response answer{number, DenyWith(EAGAIN)};
    if (write(group_.fd(), &answer, sizeof answer) == sizeof answer)
      denied++;
  }
  for (StubEvent& event : orphans_) {
    const auto sameDevice = [&event](const Filesystem& each) { return each.device == event.device; };
    const auto found = std::find_if(options_.filesystems.begin(), options_.filesystems.end(), sameDevice);
    event.filesystem = found == options_.filesystems.end()
                           ? kUnknownFilesystem
                           : static_cast<uint16_t>(found - options_.filesystems.begin());
    event.pidfd = readers_.hasManyFds() ? static_cast<int>(syscall(SYS_pidfd_open, event.pid, 0)) : -1;
    event.uid = OwnerOf(event.pid);
    event.exe = ExecutableOf(event.pid);
    pending_.Keep(std::move(event));
  }
  if (denied > 0 || !orphans_.empty())
    std::fprintf(stderr, "hsm-keeper: took over %zu waiting readers; %d more must try again\n",
                 orphans_.size(), denied);
  orphans_.clear();
}

void Keeper::ForgetStored() {
  Notify("FDSTOREREMOVE=1\nFDNAME=hsm-group");
  Notify("FDSTOREREMOVE=1\nFDNAME=hsm-table");
}

void Keeper::StartWitness(unsigned generation) {
  witnessAgainAt_ = -1;
  if (witness_.Start(options_, Held(), generation))
    return;
  std::perror("hsm-keeper: no witness");
  witnessAgainAt_ = NowMs() + kMostRestartDelayMs;
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
      if (witness_.Reap())
        witnessAgainAt_ = NowMs() + kTickMs;
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
  const bool wasKilled = exitCode >= 128;
  if (!everReady_ && !hasReaders_ && !wasKilled && pending_.Count() == 0) {
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
  readers_.AddThreadsIfStuck();
  pending_.RetryPostponed();
  if (witnessAgainAt_ >= 0 && NowMs() >= witnessAgainAt_)
    StartWitness(table_.Generation());
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
  RaiseLimits();
  // Survivors of a dead keeper race for its place; whoever loses must not have touched anything.
  const bool isHeir = options_.inherited.group >= 0;
  const Locked locked = Lock(options_.lockFile, isHeir ? kLockPatienceMs : 0, &lock_);
  if (locked == Locked::kByAnother && isHeir)
    return kExitRefused;
  if (locked == Locked::kByAnother)
    return Fail("a daemon already runs for this configuration (it holds " + options_.lockFile + ")",
                kExitRefused);
  if (locked == Locked::kNoFile && isHeir)
    DenyInherited();
  if (locked == Locked::kNoFile)
    return Fail(options_.lockFile + ": " + std::strerror(errno), kExitFailed);
  int predecessor = -1;
  if (const std::string problem = TakeHoldings(&predecessor); !problem.empty())
    return Fail(problem, kExitFailed);
  if (isHeir && table_.Generation() != options_.generation)
    return kExitRefused; // another heir took over, and may have ended in good order since
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
  if (!adopted_)
    ForgetStored();
  // A table without its group is nothing; a group without its table would be held for nobody.
  Notify("FDSTORE=1\nFDNAME=hsm-table\nFDPOLL=0", table_.fd());
  Notify("FDSTORE=1\nFDNAME=hsm-group\nFDPOLL=0", group_.fd());
  // From the next line on heirs of the keeper before are too late, so an heir of this one must stand.
  StartWitness(table_.Generation() + 1);
  table_.NextGeneration();
  if (predecessor >= 0)
    ConfirmTakeover(predecessor);
  if (adopted_)
    AdoptEvents();
  Add(signals_, EPOLLIN, kSignal);
  Add(wake_, EPOLLIN, kWake);
  if (!StartWorker()) {
    if (!adopted_)
      return Fail("the daemon cannot be started", kExitFailed);
    startAgainAt_ = NowMs() + kMostRestartDelayMs;
  }
  // The numbers below are a successor's own.
  for (int filler = dup(wake_); filler >= 0;) {
    if (filler >= kFirstEventFd) {
      close(filler);
      break;
    }
    fcntl(filler, F_SETFD, FD_CLOEXEC);
    filler = dup(wake_);
  }
  readers_.Start(kReaderThreads);

  bool blocked = false;
  while (!done_) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_, events, 64, readers_.stuck() ? kStuckTickMs : kTickMs);
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
  readers_.Stop(kStopReadersMs);
  pending_.AnswerAll(EAGAIN);
  if (!worker_.stubsLeft() || (!everReady_ && !adopted_)) {
    ForgetStored();
    witness_.Dismiss();
    return exitCode_;
  }
  witness_.WatchDenier();
  const pid_t child = fork();
  if (child < 0)
    return kExitFailed; // the witness denies
  if (child > 0)
    return exitCode_;
  setsid();
  readers_.ForgetThreads();
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int stream : {0, 1, 2})
    dup2(null, stream);
  Deny();
}

void Keeper::Deny() {
  for (int* fd : {&lock_, &epoll_, &signals_}) {
    close(*fd);
    *fd = -1;
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  RunDenier(options_.socketPath, Held(), readers_, options_.filesystems, [this] {
    if (witness_.IsThere())
      return;
    StartWitness(table_.Generation());
    witness_.WatchDenier();
  });
  witness_.Dismiss();
  _exit(0);
}

void Keeper::DenyInherited() {
  std::signal(SIGPIPE, SIG_IGN);
  RaiseLimits();
  group_.Adopt(options_.inherited.group);
  if (const std::string problem = AdoptTable(options_.inherited.table); !problem.empty())
    std::fprintf(stderr, "hsm-keeper: %s\n", problem.c_str());
  else if (!table_.Succeed(options_.generation))
    _exit(0); // a keeper has taken over since
  AdoptEvents();
  pending_.AnswerAll(EAGAIN);
  Deny();
}

} // namespace
} // namespace hsm

int main(int count, char** words) {
  hsm::Options options;
  if (!hsm::ParseOptions(count, words, &options)) {
    std::fputs(hsm::kUsage, stderr);
    return 2;
  }
  hsm::CloseStrayFds(options);
  options.managed = options.managed || hsm::HasManager();
  hsm::Deceased deceased = hsm::Deceased::kKeeper;
  if (options.witnessPipe >= 0) {
    deceased = hsm::AwaitDeath(options);
    options.witnessPipe = -1;
  }
  if (deceased == hsm::Deceased::kDenier)
    hsm::Keeper(std::move(options)).DenyInherited();
  if (options.inherited.group >= 0 && options.managed)
    hsm::RunHolder(options);
  return hsm::Keeper(std::move(options)).Run();
}
