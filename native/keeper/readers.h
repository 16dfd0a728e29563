// Threads that read the group, answer resident files at once and hand on what concerns stubs.
#pragma once
#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "group.h"
#include "pending.h"

namespace hsm {

// Of a process that waits: path of its program, its owner. Empty and -1 when it is gone.
std::string ExecutableOf(pid_t pid);
uid_t OwnerOf(pid_t pid);

class Readers {
public:
  // onStub is called from reader threads after an event was added to pending, or an overflow counted.
  Readers(Group& group, Pending& pending, const std::vector<Filesystem>& filesystems,
          std::function<void()> onStub);

  void Start(unsigned threads);
  // Doubles the threads when events wait, none was taken since the last call, and every thread is blocked: a
  // user's lease holds each read() of its file inside the kernel for up to lease-break-time, and must not
  // hold anybody else up. Threads that only wait for a processor are no reason: each event wakes all that
  // read, and more of them would take longer still. To be called every 100 ms or so, and every 10 ms while
  // `stuck`.
  void AddThreadsIfStuck();
  bool stuck() const { return waitedBefore_; }

  // Ends the threads; one that waits for a user's lease inside the kernel is left behind after `patienceMs`.
  void Stop(int patienceMs);

  // From now on denies every stub with EAGAIN instead of asking the worker.
  void Deny();
  // Events of this process (the worker) on stubs are refused: waiting for itself would be a deadlock.
  void set_worker(pid_t pid) { worker_ = pid; }

  // While `change` runs no reader thread looks at the filesystems.
  void WithFilesystems(const std::function<void()>& change);

  // False when fds are scarce: then only events get one.
  bool hasManyFds();

  uint64_t resident() const { return resident_; }
  uint64_t unreadable() const { return unreadable_; }

private:
  static void* Main(void* self);
  void Loop();
  void StartOne();
  // True for a thread that is not needed any more: it then has left.
  bool Leaves();
  bool AnyIsRunnable();
  // takenAt: when it was read, ns of CLOCK_MONOTONIC.
  void Handle(const fanotify_event_metadata& event, int pidfd, int64_t takenAt);
  void CountUnreadable();
  void HandleStub(const fanotify_event_metadata& event, int pidfd);

  Group& group_;
  Pending& pending_;
  const std::vector<Filesystem>& filesystems_;
  std::function<void()> onStub_;
  size_t fdLimit_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> deniesSince_{0}; // ns since the epoch; 0: does not
  std::atomic<pid_t> worker_{0};
  std::atomic<int> running_{0};
  std::atomic<uint64_t> taken_{0};
  uint64_t takenBefore_ = 0;
  std::atomic<bool> waitedBefore_{false};
  std::atomic<int64_t> grownAt_{0}; // ns of CLOCK_MONOTONIC
  int least_ = 0;
  std::atomic<uint64_t> resident_{0}, unreadable_{0};
  std::shared_mutex filesystemsMutex_;
  std::mutex mutex_;
  std::vector<pthread_t> threads_;
  std::vector<pid_t> threadIds_;
};

} // namespace hsm
