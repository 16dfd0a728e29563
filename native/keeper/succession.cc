// How a keeper begins and ends: what it takes over from others, and what it leaves to them.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#include "denier.h"
#include "handover.h"
#include "holders.h"
#include "keeper.h"
#include "notify.h"
#include "process.h"

namespace hsm {
namespace {

constexpr int kStopReadersMs = 1000;
constexpr int64_t kLockPauseMs = 5;
// A holder that is about to listen, or an heir about to take the lock, needs a moment.
constexpr int64_t kHolderPatienceMs = 5000;
// Events that a dead keeper had taken but not recorded have numbers at most so far above the recorded ones.
constexpr int kUnrecordedReach = 16'384;

} // namespace

void Keeper::Report(const std::string& message, int code) const {
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
}

int Keeper::Fail(const std::string& message, int code) {
  Report(message, code);
  // Were the last fd of an inherited group closed, its readers would be let through.
  if (options_.inherited.group >= 0)
    DenyInherited();
  witness_.Dismiss();
  return code;
}

// From another process, by whatever way; touches nothing yet.
std::string Keeper::Adopt(const Holdings& holdings) {
  group_.Adopt(holdings.group);
  adopted_ = true;
  return table_.Adopt(holdings.table);
}

// Nobody has taken this process's place.
bool Keeper::IsCurrent() const {
  return !table_.isMapped() || table_.Generation() == generation_;
}

// Heirs of a dead keeper race for its place. Whoever loses must not have touched anything, and may let go
// only when the winner holds the group under a generation of its own. False when another has succeeded.
bool Keeper::AwaitTurn() {
  const std::string problem = Adopt(options_.inherited);
  generation_ = options_.generation;
  for (; IsCurrent(); SleepMs(kLockPauseMs)) {
    const Locked locked = TryLock(options_.lockFile, &lock_);
    if (locked == Locked::kByAnother)
      continue;
    if (locked == Locked::kNoFile || !problem.empty())
      DenyInherited();
    return IsCurrent();
  }
  return false;
}

// From one that holds on for a keeper that died or stopped, from the service manager, or new. Never a second
// group beside a living one: whoever holds that is waited for, and gets the lock meanwhile should it be an
// heir.
int Keeper::TakeHoldings() {
  const int64_t until = NowMs() + kHolderPatienceMs;
  for (std::string holders;; SleepMs(kLockPauseMs)) {
    const Locked locked = TryLock(options_.lockFile, &lock_);
    if (locked == Locked::kByAnother)
      return Fail("a daemon already runs for this configuration (it holds " + options_.lockFile + ")",
                  kExitRefused);
    if (locked == Locked::kNoFile)
      return Fail(options_.lockFile + ": " + std::strerror(errno), kExitFailed);
    Holdings holdings;
    if (!TakeOver(options_.socketPath, &holdings, &predecessor_))
      holdings = options_.stored;
    if (holdings.group < 0)
      holders = HoldersOf(options_.filesystems);
    std::string problem;
    if (holdings.group >= 0)
      problem = Adopt(holdings);
    else if (holders.empty())
      problem = Create();
    if (!problem.empty())
      return Fail(problem, kExitFailed);
    generation_ = table_.Generation();
    if (holdings.group >= 0 || holders.empty())
      return 0;
    if (NowMs() >= until)
      return Fail(
          "these filesystems are guarded already, and nobody hands them over: process " + holders +
              " holds the guard; continue it with kill -CONT should it be stopped, and do not kill it",
          kExitRefused);
    close(lock_);
  }
}

std::string Keeper::Create() {
  if (std::string problem = group_.Open(options_.readWriteEvents ? O_RDWR : O_RDONLY); !problem.empty())
    return problem;
  return table_.Create();
}

// Reserves the numbers of the recorded events before anything else can get them.
std::string Keeper::Reserve() {
  orphans_ = table_.All();
  const int placeholder = open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (const StubEvent& event : orphans_)
    if (dup3(placeholder, event.fd, O_CLOEXEC) < 0)
      return std::string("a place for an event: ") + std::strerror(errno);
  close(placeholder);
  hasReaders_ = options_.inherited.group >= 0 || !orphans_.empty();
  return "";
}

// From here on heirs of the keeper before are too late, so an heir of this one must stand already. False when
// another was first.
bool Keeper::Succeed() {
  StartWitness(generation_ + 1);
  if (!table_.Succeed(generation_)) {
    witness_.Dismiss();
    return false;
  }
  generation_++;
  if (predecessor_ >= 0)
    close(predecessor_);
  predecessor_ = -1;
  return true;
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
    if (!group_.TryDeny(number, EAGAIN))
      continue;
    table_.Forget(number); // should it have been recorded in the last moment
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

// Readers that still wait are sent away. If there are stubs, the witness goes on denying, and this process
// denies until that one has taken its place.
void Keeper::Stop() {
  readers_.Deny();
  pending_.AnswerAll(EAGAIN);
  for (const Filesystem& filesystem : options_.filesystems)
    if (filesystem.rootFd >= 0)
      table_.AddSuperblock(filesystem.superblock);
  // Who is stopped before a worker could look leaves things as they were.
  const bool denies =
      (worker_.stubsLeft() || guardsStranger_) && (everReady_ || adopted_ || worker_.stopped() || !stopping_);
  if (denies)
    LeaveDenier();
  // What a thread that passed the check before the first line leaves behind is answered by the denier.
  readers_.Stop(kStopReadersMs);
  pending_.AnswerAll(EAGAIN);
  if (!denies) {
    ForgetStored();
    witness_.Dismiss();
  }
  std::fflush(nullptr);
  _exit(exitCode_);
}

// Returns when the witness has taken this process's place.
void Keeper::LeaveDenier() {
  for (bool told = false; IsCurrent(); SleepMs(kLockPauseMs)) {
    if (!witness_.IsThere()) {
      StartWitness(generation_);
      told = false;
    }
    if (!witness_.IsThere())
      Deny();
    if (!told)
      witness_.Replace();
    told = true;
  }
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
  RunDenier(options_.socketPath, Held(), table_, readers_, options_.filesystems, [this] {
    if (!witness_.IsThere()) {
      StartWitness(generation_);
      witness_.WatchDenier();
    }
    return IsCurrent();
  });
  witness_.Dismiss();
  _exit(0);
}

void Keeper::DenyInherited() {
  std::signal(SIGPIPE, SIG_IGN);
  RaiseLimits();
  std::string problem = group_.fd() < 0 ? Adopt(options_.inherited) : "";
  generation_ = options_.generation;
  if (problem.empty())
    problem = Reserve();
  if (!problem.empty())
    std::fprintf(stderr, "hsm-keeper: %s\n", problem.c_str());
  if (!Succeed())
    _exit(0);
  witness_.WatchDenier();
  table_.BecomeReader();
  AdoptEvents();
  pending_.AnswerAll(EAGAIN);
  Deny();
}

} // namespace hsm
