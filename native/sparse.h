#pragma once
// Holes of a file: found by lseek(2) SEEK_DATA and SEEK_HOLE, written as the GNU sparse 1.0 map of
// docs/tape-format.md.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace hsm {

// Bytes [offset, offset + length) hold data; all else below the file's size is a hole.
struct Segment {
  uint64_t offset;
  uint64_t length;
};
using SegmentMap = std::vector<Segment>;

// A map of more segments is not written (near segments are joined) and not accepted.
constexpr size_t kMaxSegments = 1 << 18;

// How a file's content is stored: `head` (the map, where sparse), then the segments one after the other.
struct Layout {
  bool sparse = false;
  std::string head;
  SegmentMap segments;
  uint64_t payload = 0;
};
// 0 or -errno.
int LayoutOf(int fd, const struct statx& stat, Layout& layout);

// Sets `map` when at least one file system block lies in a hole, else leaves it empty: the file is stored
// whole. Returns 0 or -errno. Moves the descriptor's file offset.
int FindSegments(int fd, uint64_t size, uint64_t diskBytes, uint32_t fsBlock, std::optional<SegmentMap>& map);

// Decimal lines `count, offset, length, ...`, padded with zeros to 512. A file that ends in a hole has a last
// segment (size, 0).
std::string EncodeSparseMap(const SegmentMap& map);

uint64_t SegmentBytes(const SegmentMap& map);

// Reads a map that arrives in pieces and is not trusted: ascending, no overlap, nothing beyond `size`.
class SparseMapParser {
public:
  explicit SparseMapParser(uint64_t size) : size_(size) {}
  // Consumes bytes up to the end of the map's last 512-byte unit; returns how many, or -1 when they are no
  // map.
  ssize_t Feed(const uint8_t* data, size_t length);
  bool Done() const { return complete_ && consumed_ % 512 == 0; }
  // Bytes of the map with its padding, once Done().
  uint64_t Length() const { return consumed_; }
  const SegmentMap& Map() const { return map_; }

private:
  bool Number();

  const uint64_t size_;
  SegmentMap map_;
  uint64_t consumed_ = 0;
  uint64_t value_ = 0;
  int digits_ = 0;
  bool haveCount_ = false;
  bool haveOffset_ = false;
  uint64_t count_ = 0;
  uint64_t offset_ = 0;
  uint64_t end_ = 0;
  bool complete_ = false;
};

} // namespace hsm
