// The daemon process that does the work: started, fed with events, started again when it dies.
#pragma once
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "group.h"
#include "pending.h"

namespace hsm {

class Worker {
public:
  // onDelivered: called with each event that the worker was given, on the thread that called Deliver().
  Worker(std::vector<std::string> command, Group& group, Pending& pending,
         const std::vector<Filesystem>& filesystems, std::function<void(const StubEvent&)> onDelivered)
      : command_(std::move(command)), group_(group), pending_(pending), filesystems_(filesystems),
        onDelivered_(std::move(onDelivered)) {}

  // Forks and execs; the child finds its fds in the environment variable HSM_KEEPER. False when that failed.
  bool Start();
  void Signal(int signal) const;
  // Reaps the process; true when it has ended. `exitCode` is 128 + n after a signal.
  bool Reap(int* exitCode);

  // Reads all waiting messages. False when the worker closed its end.
  bool Receive();
  // Sends what the worker has not been given yet; true when all of it is sent.
  bool Deliver();
  void SendGone(uint64_t id);

  int socket() const { return socket_; }
  pid_t pid() const { return pid_; }
  bool ready() const { return ready_; }
  bool stopped() const { return stopped_; }
  bool stubsLeft() const { return stubsLeft_; }
  bool alive() const { return pid_ > 0; }

private:
  bool SendEvent(const StubEvent& event);

  std::vector<std::string> command_;
  Group& group_;
  Pending& pending_;
  const std::vector<Filesystem>& filesystems_;
  std::function<void(const StubEvent&)> onDelivered_;
  int socket_ = -1;
  pid_t pid_ = 0;
  bool ready_ = false, stopped_ = false, stubsLeft_ = true;
};

} // namespace hsm
