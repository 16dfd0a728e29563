#include "sparse.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <unistd.h>

namespace hsm {
namespace {

void AppendLine(std::string& out, uint64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
  out.push_back('\n');
}

// Joins segments over ever larger gaps until the map is small enough to be written.
void Coarsen(SegmentMap& map) {
  for (uint64_t gap = 65536; map.size() > kMaxSegments - 1; gap *= 4) {
    size_t kept = 0;
    for (size_t i = 1; i < map.size(); i++) {
      Segment& last = map[kept];
      if (map[i].offset - (last.offset + last.length) <= gap)
        last.length = map[i].offset + map[i].length - last.offset;
      else
        map[++kept] = map[i];
    }
    map.resize(kept + 1);
  }
}

uint64_t WholeHoleBlocks(const SegmentMap& map, uint64_t size, uint64_t block) {
  uint64_t blocks = 0;
  uint64_t position = 0;
  const auto hole = [&](uint64_t from, uint64_t to) {
    const uint64_t first = (from + block - 1) / block;
    if (to / block > first)
      blocks += to / block - first;
  };
  for (const Segment& segment : map) {
    hole(position, segment.offset);
    position = segment.offset + segment.length;
  }
  // The block that holds the end of the file counts as whole.
  hole(position, (size + block - 1) / block * block);
  return blocks;
}

} // namespace

int LayoutOf(int fd, const struct statx& stat, Layout& layout) {
  std::optional<SegmentMap> map;
  // Where the file system claims larger blocks a hole is a multiple of them anyhow.
  const uint32_t block = std::min(stat.stx_blksize, 4096u);
  if (const int error = FindSegments(fd, stat.stx_size, stat.stx_blocks * 512, block, map); error != 0)
    return error;
  layout.sparse = map.has_value();
  layout.head.clear();
  if (map) {
    layout.head = EncodeSparseMap(*map);
    layout.segments = std::move(*map);
  } else {
    layout.segments.assign(1, {0, stat.stx_size});
  }
  layout.payload = layout.head.size() + SegmentBytes(layout.segments);
  return 0;
}

int FindSegments(int fd, uint64_t size, uint64_t diskBytes, uint32_t fsBlock,
                 std::optional<SegmentMap>& map) {
  map.reset();
  // Blocks of metadata or beyond the end may hide a hole in the sum: the sum alone decides only where little
  // is at stake.
  if (size == 0 || (size <= 65536 && diskBytes >= size))
    return 0;
  SegmentMap found;
  uint64_t position = 0;
  while (position < size) {
    const off_t data = lseek(fd, static_cast<off_t>(position), SEEK_DATA);
    if (data < 0) {
      if (errno != ENXIO)
        return -errno;
      break;
    }
    if (static_cast<uint64_t>(data) >= size)
      break;
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0)
      return -errno;
    // A file that shrinks under us makes no progress here; the statx after the copy tells.
    if (hole <= data)
      break;
    const uint64_t end = std::min<uint64_t>(static_cast<uint64_t>(hole), size);
    found.push_back({static_cast<uint64_t>(data), end - static_cast<uint64_t>(data)});
    position = end;
    if (found.size() >= 4 * kMaxSegments)
      Coarsen(found);
  }
  if (WholeHoleBlocks(found, size, fsBlock == 0 ? 4096 : fsBlock) == 0)
    return 0;
  Coarsen(found);
  if (found.empty() || found.back().offset + found.back().length < size)
    found.push_back({size, 0});
  map = std::move(found);
  return 0;
}

std::string EncodeSparseMap(const SegmentMap& map) {
  std::string out;
  out.reserve(32 + map.size() * 24);
  AppendLine(out, map.size());
  for (const Segment& segment : map) {
    AppendLine(out, segment.offset);
    AppendLine(out, segment.length);
  }
  out.resize((out.size() + 511) / 512 * 512, '\0');
  return out;
}

uint64_t SegmentBytes(const SegmentMap& map) {
  uint64_t sum = 0;
  for (const Segment& segment : map)
    sum += segment.length;
  return sum;
}

ssize_t SparseMapParser::Feed(const uint8_t* data, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (Done())
      return static_cast<ssize_t>(i);
    consumed_++;
    const uint8_t c = data[i];
    if (complete_) {
      if (c != 0)
        return -1;
    } else if (c >= '0' && c <= '9') {
      // 18 digits hold every size that a file can have and cannot overflow.
      if (++digits_ > 18)
        return -1;
      value_ = value_ * 10 + (c - '0');
    } else if (c != '\n' || digits_ == 0 || !Number()) {
      return -1;
    } else {
      value_ = 0;
      digits_ = 0;
    }
  }
  return static_cast<ssize_t>(length);
}

bool SparseMapParser::Number() {
  if (!haveCount_) {
    if (value_ > kMaxSegments)
      return false;
    haveCount_ = true;
    count_ = value_;
    complete_ = count_ == 0;
    return true;
  }
  if (!haveOffset_) {
    if (value_ < end_ || value_ > size_)
      return false;
    offset_ = value_;
    haveOffset_ = true;
    return true;
  }
  if (value_ > size_ - offset_)
    return false;
  map_.push_back({offset_, value_});
  end_ = offset_ + value_;
  haveOffset_ = false;
  complete_ = map_.size() == count_;
  return true;
}

} // namespace hsm
