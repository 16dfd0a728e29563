// The unanswered events, in memory that outlives the keeper: a memfd that witness, worker and the service
// manager's fd store hold too. Slot n belongs to the event whose fd has number n.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "event.h"

namespace hsm {

// Events have fd numbers from kFirstEventFd on (the keeper occupies the lower ones), so that a successor can
// have its first fds open before it reserves the numbers of its predecessor's events.
inline constexpr int kFirstEventFd = 32;
inline constexpr int kMostFds = 1'048'576;
// What proc_pid_fd(5) shows of a table.
inline constexpr char kTableLink[] = "/memfd:hsm-events (deleted)";

// Of all keepers of a table. At kStatisticsAt in the memfd, where src/monitoring/keeper-statistics.ts reads
// them: fields are only ever added, and are 0 where an older keeper made the table.
struct Statistics {
  std::atomic<uint64_t> resident;   // questions about files whose data is on disk
  std::atomic<uint64_t> stubs;      // questions that went to the daemon
  std::atomic<uint64_t> refused;    // stubs that were denied at once: by a denier, to hsm itself
  std::atomic<uint64_t> unreadable; // events that could not be opened; the kernel has denied them
  // How long a question about a resident file took from its read() to its answer; such a file is asked about
  // once. Bucket i counts those of up to kTouchBoundsNs[i], the last one the rest.
  std::atomic<uint64_t> touchNs;
  std::atomic<uint64_t> touches[12];

  void CountTouch(uint64_t ns);
};
inline constexpr uint64_t kTouchBoundsNs[] = {5'000,   10'000,    25'000,    50'000,     100'000,    250'000,
                                              500'000, 1'000'000, 5'000'000, 25'000'000, 100'000'000};
inline constexpr size_t kStatisticsAt = 3072;

class Table {
public:
  ~Table();

  // A new, empty table, or one that another keeper filled. Both return an error line, empty when all is well.
  std::string Create();
  std::string Adopt(int fd);

  int fd() const { return fd_; }
  bool isMapped() const { return header_ != nullptr; }

  // Thread-safe for different fds. An event that cannot be recorded is still served, but not by a successor.
  void Record(const StubEvent& event);
  void Forget(int eventFd);

  // All recorded events, oldest first. Their fds are numbers only, their pidfds -1.
  std::vector<StubEvent> All() const;
  // No event that was ever recorded had a larger number.
  int Highest() const;
  // Counts the keepers that served this table. An heir of one that others have succeeded is too late.
  uint32_t Generation() const;
  // The next after `generation`; false when somebody else was first.
  bool Succeed(uint32_t generation);
  // The process that reads the group. Events are known by their fds' numbers in that process, so there must
  // never be two: waits until the last one has ended, however long that takes.
  void BecomeReader();
  // Times that the kernel lost events, and let their readers through; since when the table exists.
  struct Overflows {
    uint64_t count, told; // told: so many of them the worker knows
    int64_t lastMs;       // since the epoch
  };
  void CountOverflow();
  void TellOverflows(uint64_t told);
  Overflows overflows() const;
  // The filesystems that the group may mark, by number (mounts.h): added before they are, and for good but
  // for what was found to be gone.
  void AddSuperblock(uint64_t superblock);
  void RemoveSuperblock(uint64_t superblock);
  std::vector<uint64_t> Superblocks() const;
  // More were added than there is room for.
  bool hasMoreSuperblocks() const;
  Statistics& statistics() { return *statistics_; }
  // Ids that no event of any keeper has had.
  uint64_t NextId();

private:
  void Unmap();
  struct Header;
  struct Slot;
  std::string Map();

  int fd_ = -1;
  Header* header_ = nullptr;
  Slot* slots_ = nullptr;
  Statistics unmapped_ = {};
  Statistics* statistics_ = &unmapped_;
};

} // namespace hsm
