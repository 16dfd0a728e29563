#include "extract.h"

#include "record.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hsm {
namespace {

int WriteAll(int fd, const uint8_t* data, size_t length, uint64_t offset) {
  while (length > 0) {
    const ssize_t wrote = pwrite(fd, data, length, static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return wrote < 0 ? -errno : -EIO;
    data += wrote;
    offset += static_cast<uint64_t>(wrote);
    length -= static_cast<size_t>(wrote);
  }
  return 0;
}

// Space for [offset, offset + length) below an unchanged end of file.
int Allocate(int fd, uint64_t offset, uint64_t length) {
  if (length == 0)
    return 0;
  while (fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0)
    if (errno != EINTR)
      return errno == EOPNOTSUPP ? 0 : -errno;
  return 0;
}

// Leftovers of a recall that died, perhaps of bytes that were never the file's, must not show through the new
// file's holes.
int EmptyOut(int fd, uint64_t size) {
  if (lseek(fd, 0, SEEK_DATA) < 0)
    return errno == ENXIO ? 0 : -errno;
  const uint64_t whole = (size + 65535) / 65536 * 65536;
  return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(whole)) != 0 ? -errno
                                                                                                      : 0;
}

} // namespace

Extract::Extract(std::vector<ExtractTarget> targets)
    : targets_(std::move(targets)), done_(std::make_unique<std::atomic<uint64_t>[]>(targets_.size())) {}

void Extract::Feed(uint64_t offset, const uint8_t* data, size_t length, std::vector<ExtractEnd>& ended) {
  std::erase_if(active_,
                [&](std::unique_ptr<Active>& active) { return Step(*active, offset, data, length, ended); });
  for (; next_ < targets_.size() && targets_[next_].offset < offset + length; next_++) {
    auto active = std::make_unique<Active>();
    active->target = static_cast<uint32_t>(next_);
    active->position = targets_[next_].offset;
    if (!Step(*active, offset, data, length, ended))
      active_.push_back(std::move(active));
  }
}

void Extract::Finish(std::vector<ExtractEnd>& ended) {
  for (const auto& active : active_)
    ended.push_back({active->target, kTruncated});
  active_.clear();
  for (; next_ < targets_.size(); next_++)
    ended.push_back({static_cast<uint32_t>(next_), kTruncated});
}

int64_t Extract::Needs() const {
  uint64_t first = next_ < targets_.size() ? targets_[next_].offset : UINT64_MAX;
  for (const auto& active : active_)
    first = std::min(first, active->position);
  return first == UINT64_MAX ? -1 : static_cast<int64_t>(first);
}

// True when the target has ended.
bool Extract::Step(Active& active, uint64_t offset, const uint8_t* data, size_t length,
                   std::vector<ExtractEnd>& ended) {
  if (active.position >= offset + length)
    return false;
  int status = kTruncated;
  const bool gap = active.position < offset;
  if (!gap && !Take(active, data + (active.position - offset), length - (active.position - offset), status))
    return false;
  ended.push_back({active.target, status});
  if (active.hash) {
    active.hash->Reset();
    spare_.push_back(std::move(active.hash));
  }
  return true;
}

bool Extract::Take(Active& active, const uint8_t* data, size_t length, int& status) {
  if (active.stage == Stage::header && TakeHeader(active, data, length, status))
    return true;
  if (active.stage == Stage::map && TakeMap(active, data, length, status))
    return true;
  return active.stage == Stage::data && TakeData(active, data, length, status);
}

bool Extract::TakeHeader(Active& active, const uint8_t*& data, size_t& length, int& status) {
  size_t need = 0;
  ParseStatus parsed = ParseStatus::more;
  if (active.header.empty()) {
    parsed = ParseMember(data, length, active.member, need);
    if (parsed == ParseStatus::ok)
      Advance(active, active.member.headerLength, data, length);
  } else {
    need = active.headerNeed;
  }
  // What came in pieces is put together first.
  while (parsed == ParseStatus::more) {
    const size_t part = std::min(length, need - active.header.size());
    active.header.append(reinterpret_cast<const char*>(data), part);
    Advance(active, part, data, length);
    active.headerNeed = need;
    if (active.header.size() < need)
      return false;
    parsed = ParseMember(reinterpret_cast<const uint8_t*>(active.header.data()), active.header.size(),
                         active.member, need);
  }
  if (parsed != ParseStatus::ok) {
    status = kWrongMember;
    return true;
  }
  active.header = {};
  status = Accept(active);
  return status != kRestored;
}

// The member is what the target names, and the destination may take it.
int Extract::Accept(Active& active) {
  const ExtractTarget& target = targets_[active.target];
  const ParsedMember& member = active.member;
  if (member.type != '0' || !member.object || *member.object != target.object || member.size != target.size)
    return kWrongMember;
  // Who verifies wants names and attributes right too; who restores needs the data, and its hash decides.
  if (!member.intact && target.fd < 0)
    return kWrongMember;
  active.left = member.payload;
  active.hash = Hash();
  if (const int status = CheckDestination(target); status != kRestored)
    return status;
  if (member.sparse) {
    active.mapParser.emplace(target.size);
    active.stage = Stage::map;
    return kRestored;
  }
  active.map = {{0, target.size}};
  active.stage = Stage::data;
  return Reserve(active);
}

bool Extract::TakeMap(Active& active, const uint8_t*& data, size_t& length, int& status) {
  const auto part = static_cast<size_t>(std::min<uint64_t>(length, active.left));
  const ssize_t used = active.mapParser->Feed(data, part);
  if (used < 0) {
    status = kWrongMember;
    return true;
  }
  active.hash->Update(data, static_cast<size_t>(used));
  active.left -= static_cast<uint64_t>(used);
  Advance(active, static_cast<size_t>(used), data, length);
  if (!active.mapParser->Done()) {
    status = kWrongMember;
    return active.left == 0;
  }
  active.map = active.mapParser->Map();
  active.mapParser.reset();
  active.stage = Stage::data;
  status = SegmentBytes(active.map) == active.left ? Reserve(active) : static_cast<int>(kWrongMember);
  return status != kRestored;
}

bool Extract::TakeData(Active& active, const uint8_t*& data, size_t& length, int& status) {
  const int fd = targets_[active.target].fd;
  // A payload that is here as a whole is hashed before a byte of it is written.
  const bool whole = length >= active.left;
  const bool first = active.segment == 0 && active.inSegment == 0;
  if (whole && first) {
    active.hash->Update(data, static_cast<size_t>(active.left));
    status = CheckHash(active);
    if (status != kRestored)
      return true;
  }
  while (length > 0 && active.left > 0) {
    const Segment& segment = active.map[active.segment];
    const auto part = static_cast<size_t>(std::min<uint64_t>(length, segment.length - active.inSegment));
    if (!(whole && first))
      active.hash->Update(data, part);
    status = fd < 0 ? 0 : WriteAll(fd, data, part, segment.offset + active.inSegment);
    if (status != 0)
      return true;
    active.left -= part;
    active.inSegment += part;
    done_[active.target].fetch_add(part, std::memory_order_relaxed);
    Advance(active, part, data, length);
    if (active.inSegment == segment.length) {
      active.segment++;
      active.inSegment = 0;
    }
  }
  if (active.left > 0)
    return false;
  status = whole && first ? static_cast<int>(kRestored) : CheckHash(active);
  return true;
}

int Extract::CheckDestination(const ExtractTarget& target) const {
  if (target.fd < 0 || !target.record)
    return kRestored;
  struct stat stat;
  if (fstat(target.fd, &stat) != 0)
    return -errno;
  uint8_t record[kRecordSize];
  const int length = ReadRecord(target.fd, record);
  if (length < 0 && length != -ERANGE)
    return length;
  // Another size: the file was emptied or replaced by its user, and must not be restored over.
  if (length != static_cast<int>(kRecordSize) || memcmp(record, target.record->data(), kRecordSize) != 0 ||
      static_cast<uint64_t>(stat.st_size) != target.size)
    return kRecordChanged;
  return EmptyOut(target.fd, target.size);
}

int Extract::Reserve(const Active& active) const {
  const int fd = targets_[active.target].fd;
  if (fd < 0)
    return 0;
  for (const Segment& segment : active.map)
    if (const int error = Allocate(fd, segment.offset, segment.length); error != 0)
      return error;
  return 0;
}

int Extract::CheckHash(Active& active) const {
  uint8_t hash[kSha256Size];
  active.hash->Final(hash);
  const auto& expected =
      targets_[active.target].sha256 ? targets_[active.target].sha256 : active.member.sha256;
  return expected && memcmp(hash, expected->data(), sizeof hash) == 0 ? kRestored : kBadHash;
}

void Extract::Advance(Active& active, size_t by, const uint8_t*& data, size_t& length) {
  active.position += by;
  data += by;
  length -= by;
}

std::unique_ptr<Sha256> Extract::Hash() {
  if (spare_.empty())
    return std::make_unique<Sha256>();
  auto hash = std::move(spare_.back());
  spare_.pop_back();
  return hash;
}

} // namespace hsm
