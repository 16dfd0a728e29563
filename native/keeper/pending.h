// The permission events of stubs that are not answered yet.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "event.h"
#include "group.h"
#include "table.h"

namespace hsm {

// Thread-safe. Events come from reader threads and leave from the main thread.
class Pending {
public:
  Pending(Group& group, Table& table, const std::vector<Filesystem>& filesystems)
      : group_(group), table_(table), filesystems_(filesystems) {}

  // Remembers an event, in the table first, and takes its fds over. The rest of `event` (its process and
  // program) is filled in by `complete` when a keeper's death can no longer lose it.
  template <typename Complete> void Add(StubEvent event, Complete complete) {
    event.id = table_.NextId();
    table_.Record(event);
    complete(event);
    Keep(std::move(event));
  }
  // One that a predecessor had recorded.
  void Keep(StubEvent event);

  // The oldest event that the present worker has not been given; false when there is none. Only the main
  // thread delivers and answers, so the fds of the copy stay valid until it returns to its loop.
  bool NextUndelivered(StubEvent* event);
  void Delivered(uint64_t id);
  // Its file cannot be opened at this moment: the others go first.
  void Postpone(uint64_t id);
  void RetryPostponed();
  // A new worker has been given nothing yet.
  void ForgetDeliveries();

  // Answers and forgets. Error 0 lets the reader go on, but only when the file no longer carries a record:
  // whatever the worker believes, a stub is never let through. False when the event is not known (any more).
  bool Answer(uint64_t id, int error);
  // Many at once.
  void Answer(const std::vector<uint64_t>& ids, int error);
  void AnswerAll(int error);

  size_t Count();
  Statistics& statistics() { return table_.statistics(); }

  // The kernel says that it lost events.
  void CountOverflow() { table_.CountOverflow(); }

private:
  bool AnswerLocked(uint64_t id, int error);
  void Finish(StubEvent& event, int error);
  bool IsStillStub(const StubEvent& event) const;

  Group& group_;
  Table& table_;
  const std::vector<Filesystem>& filesystems_;
  std::mutex mutex_;
  std::map<uint64_t, StubEvent> events_;
  std::deque<uint64_t> undelivered_;
  std::vector<uint64_t> postponed_;
};

} // namespace hsm
