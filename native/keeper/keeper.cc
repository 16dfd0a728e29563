#include "keeper.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "handover.h"
#include "notify.h"
#include "process.h"

namespace hsm {
namespace {

constexpr unsigned kReaderThreads = 4;
constexpr int kTickMs = 100, kStuckTickMs = 10;
constexpr int64_t kStopPatienceMs = 8000;
constexpr int64_t kShortLifeMs = 2000;
constexpr int64_t kMostRestartDelayMs = 5000;

} // namespace

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
  for (Filesystem& filesystem : options_.filesystems) {
    filesystem.told = false;
    filesystem.given = filesystem.rootFd >= 0;
  }
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
  if (stopping_ || (worker_.stopped() && exitCode == 0)) {
    done_ = true;
    return;
  }
  const bool wasKilled = exitCode >= 128;
  if (!everReady_ && !hasReaders_ && !wasKilled) {
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
    StartWitness(generation_);
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
  const bool isHeir = options_.inherited.group >= 0;
  if (isHeir && !AwaitTurn())
    return kExitRefused;
  if (!isHeir)
    if (const int code = TakeHoldings(); code != 0)
      return code;
  WritePid(lock_);
  if (const std::string problem = Reserve(); !problem.empty())
    return Fail(problem, kExitFailed);
  sigset_t handled;
  sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD})
    sigaddset(&handled, signal);
  sigprocmask(SIG_BLOCK, &handled, nullptr);
  signals_ = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  mounts_ = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (signals_ < 0 || wake_ < 0 || epoll_ < 0 || mounts_ < 0)
    return Fail(std::string("keeper: ") + std::strerror(errno), kExitFailed);
  if (const std::string problem = Guard(); !problem.empty())
    return Fail(problem, kExitFailed);
  if (!adopted_)
    ForgetStored();
  // A table without its group is nothing; a group without its table would be held for nobody.
  Notify("FDSTORE=1\nFDNAME=hsm-table\nFDPOLL=0", table_.fd());
  Notify("FDSTORE=1\nFDNAME=hsm-group\nFDPOLL=0", group_.fd());
  if (!Succeed())
    return isHeir ? kExitRefused
                  : Fail("the guard went to another process meanwhile: try again", kExitRefused);
  table_.BecomeReader();
  if (adopted_)
    AdoptEvents();
  Add(signals_, EPOLLIN, kSignal);
  Add(wake_, EPOLLIN, kWake);
  Add(mounts_, EPOLLPRI, kMounts);
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
      else if (tag == kMounts)
        CheckMounts();
      else if (tag > kWaiter)
        WaiterGone(tag - kWaiter);
    }
    OnReady();
    worker_.SendOverflows();
    TellWorker();
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
  Stop();
}

} // namespace hsm
