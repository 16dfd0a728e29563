#include "pending.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sched.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace hsm {
namespace {

// Every answer wakes all readers of the group that wait. While the answers of a batch run at real-time
// priority the woken find no time to go back to sleep in between, and need not be woken again: 9,000 answers
// take one second instead of minutes. Without CAP_SYS_NICE it is just slower.
class Urgent {
public:
  Urgent() { Set(SCHED_FIFO, 1); }
  ~Urgent() { Set(SCHED_OTHER, 0); }
  Urgent(const Urgent&) = delete;
  Urgent& operator=(const Urgent&) = delete;

private:
  static void Set(int policy, int priority) {
    sched_param parameters = {};
    parameters.sched_priority = priority;
    (void)sched_setscheduler(0, policy, &parameters);
  }
};

} // namespace

void Pending::Keep(StubEvent event) {
  std::lock_guard lock(mutex_);
  const uint64_t id = event.id;
  events_.emplace(id, std::move(event));
  undelivered_.push_back(id);
}

bool Pending::NextUndelivered(StubEvent* event) {
  std::lock_guard lock(mutex_);
  while (!undelivered_.empty()) {
    const auto found = events_.find(undelivered_.front());
    if (found != events_.end()) {
      *event = found->second;
      return true;
    }
    undelivered_.pop_front();
  }
  return false;
}

void Pending::Delivered(uint64_t id) {
  std::lock_guard lock(mutex_);
  if (!undelivered_.empty() && undelivered_.front() == id)
    undelivered_.pop_front();
}

void Pending::Postpone(uint64_t id) {
  Delivered(id);
  std::lock_guard lock(mutex_);
  postponed_.push_back(id);
}

void Pending::RetryPostponed() {
  std::lock_guard lock(mutex_);
  undelivered_.insert(undelivered_.end(), postponed_.begin(), postponed_.end());
  postponed_.clear();
}

void Pending::ForgetDeliveries() {
  std::lock_guard lock(mutex_);
  postponed_.clear();
  undelivered_.clear();
  for (const auto& [id, event] : events_)
    undelivered_.push_back(id);
}

bool Pending::AnswerLocked(uint64_t id, int error) {
  const auto found = events_.find(id);
  if (found == events_.end())
    return false;
  Finish(found->second, error);
  events_.erase(found);
  return true;
}

bool Pending::Answer(uint64_t id, int error) {
  std::lock_guard lock(mutex_);
  return AnswerLocked(id, error);
}

void Pending::Answer(const std::vector<uint64_t>& ids, int error) {
  const Urgent urgent;
  std::lock_guard lock(mutex_);
  for (const uint64_t id : ids)
    AnswerLocked(id, error);
}

void Pending::AnswerAll(int error) {
  const Urgent urgent;
  std::lock_guard lock(mutex_);
  for (auto& [id, event] : events_)
    Finish(event, error);
  events_.clear();
}

size_t Pending::Count() {
  std::lock_guard lock(mutex_);
  return events_.size();
}

// Whoever cannot be looked at counts as a stub.
bool Pending::IsStillStub(const StubEvent& event) const {
  const int fd = event.adopted ? OpenByHandle(filesystems_, event, O_RDONLY) : event.fd;
  const bool gone = fd >= 0 && fgetxattr(fd, kStubXattr, nullptr, 0) < 0 && errno == ENODATA;
  if (event.adopted && fd >= 0)
    close(fd);
  return !gone;
}

void Pending::Finish(StubEvent& event, int error) {
  if (error == 0 && IsStillStub(event)) {
    std::fprintf(stderr, "hsm-keeper: event %llu was to be allowed, but its file is still a stub: denied\n",
                 static_cast<unsigned long long>(event.id));
    error = EIO;
  }
  group_.Respond(event.fd, error);
  // The number may be given to another event only when the table no longer says that it is this one's.
  table_.Forget(event.fd);
  close(event.fd);
  if (event.pidfd >= 0)
    close(event.pidfd);
}

} // namespace hsm
