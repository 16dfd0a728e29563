#pragma once
// Builds one container block by block: members one after the other, the index, the end of the archive.
#include "pax.h"
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace hsm {

// A row of PackedMembers (src/native/index.ts).
struct MemberRow {
  uint32_t row = 0;
  int32_t status = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t headerLength = 0;
  uint64_t size = 0;
  int64_t mtimeNs = 0;
  int64_t ctimeNs = 0;
  uint64_t ino = 0;
  uint32_t nlink = 0;
  uint32_t handleHash = 0;
  ObjectId object{};
  std::array<uint8_t, 32> sha256{};
};

// Thrown on the packer's thread when the container is dropped.
struct Aborted {};

// Where blocks come from and go to.
class BlockSink {
public:
  virtual ~BlockSink() = default;
  // Waits for a free block; throws Aborted.
  virtual uint8_t* Acquire() = 0;
  // A null block ends the container.
  virtual void Publish(uint8_t* block, std::vector<MemberRow>&& members) = 0;
};

// The index member's text, kept in pieces since it may be large.
class IndexText {
public:
  void AddMember(const MemberRow& row, std::string_view name, std::string_view handle, uint64_t payload,
                 bool sparse);
  void AddLink(const MemberRow& row, std::string_view name, std::string_view target);
  void AddVoid(const MemberRow& row, std::string_view name, std::string_view reason);
  // The last line: where the index begins, how many lines it has before this one, and the filesystem's UUID
  // (empty where none is known).
  void AddEnd(uint64_t offset, std::string_view filesystem);

  uint64_t Size() const { return size_; }
  const std::deque<std::string>& Pieces() const { return pieces_; }

private:
  // A line under construction, without its last brace.
  std::string& Begin();
  void End();

  std::string line_;
  std::deque<std::string> pieces_;
  uint64_t size_ = 0;
  uint64_t lines_ = 0;
};

class Container {
public:
  // `filesystem`: UUID of the one that the files are from, empty where it is not to be said.
  Container(BlockSink& sink, size_t blockSize, int64_t createdNs, std::string_view filesystem)
      : sink_(sink), blockSize_(blockSize), createdNs_(createdNs), filesystem_(filesystem) {}

  uint64_t Offset() const { return offset_; }
  // A place for the next bytes, at least one; Advance() takes it. Waits for a free block; throws Aborted.
  uint8_t* Space(size_t& available);
  void Advance(size_t length);
  void Append(const void* data, size_t length);
  void AppendZeros(uint64_t length);
  void PadMember() { AppendZeros(PadToUnit(offset_) - offset_); }

  // Reports how a row ended, together with the block in which its last byte lies.
  void Report(const MemberRow& row) { members_.push_back(row); }
  IndexText& Index() { return index_; }
  // The first member's object names the index.
  void NameAfter(const ObjectId& object);

  // Index, end of archive, padding to a whole block. A container without members has no blocks at all.
  void Finish();
  // Memory of the block under construction, when the container is dropped.
  uint8_t* Drop();

private:
  void AppendIndex();
  void Flush();

  BlockSink& sink_;
  const size_t blockSize_;
  const int64_t createdNs_;
  const std::string filesystem_;
  uint8_t* block_ = nullptr;
  size_t used_ = 0;
  uint64_t offset_ = 0;
  std::vector<MemberRow> members_;
  IndexText index_;
  ObjectId first_{};
  bool haveFirst_ = false;
};

} // namespace hsm
