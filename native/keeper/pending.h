// The permission events of stubs that are not answered yet.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "group.h"

namespace hsm {

struct StubEvent {
  uint64_t id = 0;
  int fd = -1;    // the event's fd; its number is what the kernel matches the answer by
  int pidfd = -1; // readable when the waiting process is gone; -1 when it was gone already
  pid_t pid = 0;
  uid_t uid = 0;
  uint16_t filesystem = 0;
  bool preAccess = false;
  std::string exe;
};

// Thread-safe. Events come from reader threads and leave from the main thread.
class Pending {
public:
  explicit Pending(Group& group) : group_(group) {}

  // Remembers an event and takes its fds over.
  uint64_t Add(StubEvent event);

  // The oldest event that the present worker has not been given; false when there is none. Only the main
  // thread delivers and answers, so the fds of the copy stay valid until it returns to its loop.
  bool NextUndelivered(StubEvent* event);
  void Delivered(uint64_t id);
  // A new worker has been given nothing yet.
  void ForgetDeliveries();

  // Answers and forgets. Error 0 lets the reader go on, but only when the file no longer carries a record:
  // whatever the worker believes, a stub is never let through. False when the event is not known (any more).
  bool Answer(uint64_t id, int error);
  void AnswerAll(int error);

  size_t Count();

private:
  void Finish(StubEvent& event, int error);

  Group& group_;
  std::mutex mutex_;
  uint64_t next_ = 1;
  std::map<uint64_t, StubEvent> events_;
  std::deque<uint64_t> undelivered_;
};

} // namespace hsm
