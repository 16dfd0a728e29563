#pragma once
// The packer's threads: readers that prepare small files ahead, and one that assembles blocks in order and
// reads large files.
#include "container.h"
#include "prepare.h"
#include "sparse.h"
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace hsm {

// Page-aligned blocks in one mapping; JavaScript's buffers keep it alive.
class BlockMemory {
public:
  BlockMemory(size_t blockSize, size_t count);
  ~BlockMemory();
  BlockMemory(const BlockMemory&) = delete;
  BlockMemory& operator=(const BlockMemory&) = delete;
  uint8_t* At(size_t i) const { return base_ + i * blockSize_; }
  size_t BlockSize() const { return blockSize_; }
  size_t Count() const { return count_; }
  // Index of a block, or Count() when the address is none of ours.
  size_t IndexOf(const uint8_t* block) const;

private:
  const size_t blockSize_;
  const size_t count_;
  uint8_t* base_;
};

struct PackerSettings {
  int mountFd = -1;
  size_t blockSize = 1 << 20;
  unsigned threads = 2;
  std::array<uint8_t, 8> objectPrefix{};
  // UUID, for the index; at most 64 bytes.
  std::string filesystem;
};

struct ReadyBlock {
  uint8_t* block = nullptr; // null: the container is finished
  std::vector<MemberRow> members;
};

// All public methods are called from one thread and never wait for I/O.
class PackerCore final : public BlockSink, public std::enable_shared_from_this<PackerCore> {
public:
  enum class Phase { idle, filling, ending, aborting, closed };

  // `onReady` is called from other threads after Want(), when Take() has something or an abort is complete.
  PackerCore(const PackerSettings& settings, std::function<void()> onReady);

  Phase Now();
  void Begin();
  void Push(std::shared_ptr<const PackInput> input);
  void PushFile(std::string name, std::string path);
  void End();
  // The next block in order; empty when there is none yet, and then onReady will be called.
  std::optional<ReadyBlock> Take();
  // What stopped the threads, if anything did; the container is then to be aborted.
  std::string Failure();
  bool Release(const uint8_t* block);
  // Complete when Now() is idle; onReady is called then unless it is so at once.
  void Abort();
  void Close();
  // After Close(): until the threads have ended, at most `limit`.
  void WaitForThreads(std::chrono::milliseconds limit);
  const std::shared_ptr<BlockMemory>& Memory() const { return memory_; }

  // BlockSink, on the assembler's thread
  uint8_t* Acquire() override;
  void Publish(uint8_t* block, std::vector<MemberRow>&& members) override;

private:
  struct Job {
    std::shared_ptr<const PackInput> input; // null: one file by path
    uint32_t next = 0;
    uint32_t row = 0; // of element 0
    std::string name, path;
  };
  struct Unit {
    std::shared_ptr<const PackInput> input;
    uint32_t begin = 0, end = 0, row = 0;
    std::string name, path;
    std::deque<std::unique_ptr<Batch>> ready;
    bool done = false;
  };
  struct Link {
    std::string name;
    MemberRow row;
  };

  // Any thread, lock held.
  void StartThreads();
  template <typename Work> void Guarded(std::unique_lock<std::mutex>& lock, Work work);
  void Quiesce();
  bool Dropped() const { return phase_ == Phase::aborting || phase_ == Phase::closed || !failure_.empty(); }

  // Readers.
  void ReadLoop();
  std::shared_ptr<Unit> Claim();
  void PrepareUnit(Unit& unit, Preparer& preparer);

  // The assembler.
  void AssembleLoop();
  void AssembleContainer();
  bool AssembleNext(Container& container);
  void Emit(Container& container, const Unit& unit, Prepared& file, const Batch& batch);
  bool EmitLink(Container& container, const struct statx& stat, const std::string& name, MemberRow& row);
  void EmitLarge(Container& container, const Unit& unit, uint32_t index, MemberRow row);
  int OpenLarge(const std::shared_ptr<const PackInput>& input, uint32_t index, Source& source);
  void EmitByPath(Container& container, const Unit& unit);
  void EmitPayload(Container& container, Source& source, const std::string& name, MemberRow row);
  void CopySegment(Container& container, int fd, Segment segment, int& status);

  ObjectId NextObject(uint32_t row) const;

  const PackerSettings settings_;
  const std::function<void()> onReady_;
  const std::shared_ptr<BlockMemory> memory_;

  InodeGate gate_;
  std::mutex mutex_;
  std::condition_variable readers_, assembler_, gone_;
  Phase phase_ = Phase::idle;
  bool started_ = false;
  unsigned threads_ = 0;
  bool assembled_ = true; // the assembler has taken up this container
  unsigned busy_ = 0;     // threads inside a container's work
  bool wanted_ = false;
  std::string failure_;
  std::deque<Job> jobs_;
  std::deque<std::shared_ptr<Unit>> units_;
  std::vector<std::unique_ptr<Batch>> spare_;
  size_t prepared_ = 0; // bytes in batches that are not yet assembled
  std::vector<uint8_t*> free_;
  std::deque<ReadyBlock> blocks_;
  uint32_t rows_ = 0;
  uint64_t firstObject_ = 0; // serial number of this container's row 0
  uint32_t salt_ = 0;
  int64_t createdNs_ = 0;

  // Of the assembler's thread alone.
  std::unordered_map<uint64_t, Link> links_;
  std::unique_ptr<DirectoryCache> directories_;
  std::unique_ptr<Sha256> hash_;
};

} // namespace hsm
