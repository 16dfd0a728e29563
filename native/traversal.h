// The threads of a directory walk: getdents64(2) and statx(2), in memory bounded by a few batches.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fd.h"
#include "walk_batch.h"

namespace hsm {

enum class WalkRecords { kNone, kHollow, kAll };

struct WalkPlan {
  std::vector<std::string> paths;
  unsigned threads = 2;
  WalkRecords records = WalkRecords::kNone;
  size_t batchRows = 16384;
  bool recursive = true;
};

class Traversal {
public:
  // `onNews` is called from walker threads whenever Take() may have something new to say.
  Traversal(Fd root, WalkPlan plan, std::function<void()> onNews);
  ~Traversal() { Stop(); }

  // Starts the threads. Throws std::system_error when there can be none.
  void Start();
  // Ends the threads and waits for them; they look for it at every entry. Safe to call twice.
  void Stop();

  enum class Taken { kBatch, kNothingYet, kEnd };
  Taken Take(std::unique_ptr<WalkBatch>* batch);
  // Gives a batch back for reuse.
  void Recycle(std::unique_ptr<WalkBatch> batch);

private:
  friend class Walker;

  // A directory that is being read; the descriptor's position is where the next reader goes on.
  struct OpenDirectory {
    Fd fd;
    std::shared_ptr<const Directory> directory;
    std::string path;
  };

  // Subdirectories still to be read, as NUL-terminated names: millions of siblings cost little more than
  // their names. Without a parent they are the paths that the walk was asked for.
  struct Siblings {
    std::shared_ptr<const Directory> parent;
    std::string names;
    size_t next = 0;
  };

  struct Task {
    std::shared_ptr<OpenDirectory> reading;
    std::shared_ptr<const Directory> parent;
    std::string name;
  };

  void Run();
  bool NextTask(Task* task);
  void TaskDone();
  void AddSiblings(std::shared_ptr<const Directory> parent, std::string names);
  void AddReading(std::shared_ptr<OpenDirectory> reading);
  std::unique_ptr<WalkBatch> EmptyBatch();
  void Emit(std::unique_ptr<WalkBatch> batch);

  const Fd root_;
  const WalkPlan plan_;
  const std::function<void()> onNews_;
  uint64_t device_ = 0;

  std::mutex mutex_;
  std::condition_variable work_, room_;
  std::atomic<bool> stopped_{false};
  // Half-read directories come before new ones, so no more are open than there are threads.
  std::vector<std::shared_ptr<OpenDirectory>> half_read_;
  std::vector<Siblings> siblings_;
  size_t tasks_ = 0;
  unsigned running_ = 0;
  std::deque<std::unique_ptr<WalkBatch>> unread_;
  std::vector<std::unique_ptr<WalkBatch>> spare_;
  std::vector<std::thread> threads_;
};

} // namespace hsm
