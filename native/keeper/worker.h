// The daemon process that does the work: started, fed with events, started again when it dies.
#pragma once
#include <sys/types.h>

#include <functional>
#include <string>

#include "group.h"
#include "options.h"
#include "pending.h"
#include "table.h"

namespace hsm {

class Worker {
public:
  // onDelivered: called with each event that the worker was given, on the thread that called Deliver().
  // onLetGo: called by Receive() with the index of a filesystem whose fd the worker has closed.
  Worker(const Options& options, Group& group, Table& table, Pending& pending,
         std::function<void(const StubEvent&)> onDelivered, std::function<void(uint16_t)> onLetGo)
      : options_(options), group_(group), table_(table), pending_(pending),
        onDelivered_(std::move(onDelivered)), onLetGo_(std::move(onLetGo)) {}

  // Forks and execs; the child finds its fds in the environment variable HSM_KEEPER. False when that failed.
  bool Start();
  void Signal(int signal) const;
  // Reaps the process; true when it has ended. `exitCode` is 128 + n after a signal.
  bool Reap(int* exitCode);

  // Reads all waiting messages. False when the worker closed its end.
  bool Receive();
  // Sends what the worker has not been given yet; true unless its socket is full. Files that cannot be opened
  // at this moment are postponed, those that cannot be opened at all are answered.
  bool Deliver();
  void SendGone(uint64_t id);
  void SendOverflows();
  // What has become of a filesystem; false when it must be sent again.
  bool SendFilesystem(uint16_t index);

  int socket() const { return socket_; }
  pid_t pid() const { return pid_; }
  bool ready() const { return ready_; }
  bool stopped() const { return stopped_; }
  bool stubsLeft() const { return stubsLeft_; }
  bool alive() const { return pid_ > 0; }

private:
  std::string Fds(int socket) const;
  bool SendEvent(const StubEvent& event, int file);

  const Options& options_;
  Group& group_;
  Table& table_;
  Pending& pending_;
  std::function<void(const StubEvent&)> onDelivered_;
  std::function<void(uint16_t)> onLetGo_;
  int socket_ = -1;
  pid_t pid_ = 0;
  uint64_t overflowsSent_ = 0;
  bool ready_ = false, stopped_ = false, stubsLeft_ = true;
};

} // namespace hsm
