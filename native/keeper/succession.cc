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
#include "keeper.h"
#include "notify.h"
#include "process.h"

namespace hsm {
namespace {

constexpr int kStopReadersMs = 1000;
// Events that a dead keeper had taken but not recorded have numbers at most so far above the recorded ones.
constexpr int kUnrecordedReach = 16'384;

} // namespace

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

} // namespace hsm
