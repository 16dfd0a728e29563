#pragma once
// Restores members from the bytes of one container, trusting none of them (docs/tape-format.md).
#include "pax.h"
#include "sha256.h"
#include "sparse.h"
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hsm {

// extractStatus of src/native/index.ts; negative numbers are -errno of the destination.
enum ExtractStatus : int {
  kRestored = 0,
  kBadHash = 1,
  kWrongMember = 2,
  kRecordChanged = 3,
  kTruncated = 4,
};

struct ExtractTarget {
  uint64_t offset = 0;
  ObjectId object{};
  uint64_t size = 0;
  std::optional<std::array<uint8_t, 32>> sha256;
  int fd = -1;                                   // -1: verify only
  std::optional<std::array<uint8_t, 64>> record; // what the inode must carry
};

struct ExtractEnd {
  uint32_t target;
  int status;
};

// Bytes must come in ascending order; a gap ends the targets that needed what is in it. One thread at a time,
// apart from Done().
class Extract {
public:
  explicit Extract(std::vector<ExtractTarget> targets);

  // Takes bytes [offset, offset + length) of the container.
  void Feed(uint64_t offset, const uint8_t* data, size_t length, std::vector<ExtractEnd>& ended);
  // Ends what is unfinished.
  void Finish(std::vector<ExtractEnd>& ended);
  // First offset still needed, or -1.
  int64_t Needs() const;
  uint64_t Done(size_t target) const { return done_[target].load(std::memory_order_relaxed); }
  size_t Count() const { return targets_.size(); }

private:
  enum class Stage { header, map, data };

  // A target whose member has begun.
  struct Active {
    uint32_t target = 0;
    Stage stage = Stage::header;
    uint64_t position = 0; // container offset of the next byte wanted
    std::string header;    // bytes of a header that came in pieces
    size_t headerNeed = 0;
    ParsedMember member;
    std::optional<SparseMapParser> mapParser;
    SegmentMap map;
    size_t segment = 0;
    uint64_t inSegment = 0;
    uint64_t left = 0; // payload bytes to come
    std::unique_ptr<Sha256> hash;
  };

  // Each returns true when the target has ended, with its status.
  bool Step(Active& active, uint64_t offset, const uint8_t* data, size_t length,
            std::vector<ExtractEnd>& ended);
  bool Take(Active& active, const uint8_t* data, size_t length, int& status);
  bool TakeHeader(Active& active, const uint8_t*& data, size_t& length, int& status);
  bool TakeMap(Active& active, const uint8_t*& data, size_t& length, int& status);
  bool TakeData(Active& active, const uint8_t*& data, size_t& length, int& status);
  int Accept(Active& active);
  int CheckDestination(const ExtractTarget& target) const;
  int Reserve(const Active& active) const;
  int CheckHash(Active& active) const;
  static void Advance(Active& active, size_t by, const uint8_t*& data, size_t& length);
  std::unique_ptr<Sha256> Hash();

  const std::vector<ExtractTarget> targets_; // by offset
  std::unique_ptr<std::atomic<uint64_t>[]> done_;
  size_t next_ = 0; // first target that has not begun
  std::vector<std::unique_ptr<Active>> active_;
  std::vector<std::unique_ptr<Sha256>> spare_;
};

} // namespace hsm
