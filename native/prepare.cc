#include "prepare.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace hsm {
namespace {

// A text of a file's that is kept for the next one is no longer than this.
constexpr size_t kKeptText = 4096;

// 0, kChanged when the file ends early, or -errno.
int ReadExactly(int fd, uint8_t* to, uint64_t length, uint64_t offset) {
  while (length > 0) {
    const ssize_t got = pread(fd, to, length, static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR)
        continue;
      return -errno;
    }
    if (got == 0)
      return kChanged;
    to += got;
    offset += static_cast<uint64_t>(got);
    length -= static_cast<uint64_t>(got);
  }
  return 0;
}

timespec ToTimespec(const statx_timestamp& time) {
  return {static_cast<time_t>(time.tv_sec), static_cast<long>(time.tv_nsec)};
}

MemberHeader HeaderFrom(const struct statx& stat) {
  MemberHeader header;
  header.mode = stat.stx_mode;
  header.uid = stat.stx_uid;
  header.gid = stat.stx_gid;
  header.atime = ToTimespec(stat.stx_atime);
  header.mtime = ToTimespec(stat.stx_mtime);
  header.ctime = ToTimespec(stat.stx_ctime);
  return header;
}

} // namespace

void Prepared::Reset() {
  row = {};
  large = sparse = false;
  payloadAt = payload = 0;
  input = 0;
  for (std::string* text : {&name, &handle, &header}) {
    if (text->capacity() > kKeptText)
      *text = {};
    text->clear();
  }
}

Batch::Batch() {
  void* memory = mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::bad_alloc();
  bytes.reset(static_cast<uint8_t*>(memory));
}

Prepared& Batch::Add() {
  if (count_ == files_.size())
    files_.emplace_back();
  Prepared& file = files_[count_++];
  file.Reset();
  return file;
}

void Batch::Unmap::operator()(uint8_t* bytes) const {
  munmap(bytes, kCapacity);
}

int DirectoryCache::Get(const std::shared_ptr<const PackInput>& input, uint32_t dir) {
  if (input_ != input || dir_ != dir || !fd_) {
    input_ = input;
    dir_ = dir;
    const int fd = OpenDirectory(mountFd_, input->dirs[dir]);
    fd_.Reset(fd < 0 ? -1 : fd);
    if (fd < 0)
      return fd;
  }
  return fd_.Get();
}

void DirectoryCache::Clear() {
  input_.reset();
  fd_.Reset();
}

void InodeGate::Enter(uint64_t ino) {
  std::unique_lock lock(mutex_);
  left_.wait(lock, [&] { return std::find(inside_.begin(), inside_.end(), ino) == inside_.end(); });
  inside_.push_back(ino);
}

void InodeGate::Leave(uint64_t ino) {
  const std::lock_guard lock(mutex_);
  inside_.erase(std::find(inside_.begin(), inside_.end(), ino));
  left_.notify_all();
}

void Preparer::Prepare(const std::shared_ptr<const PackInput>& input, uint32_t index, uint32_t row,
                       const ObjectId& object, Batch& batch) {
  Prepared& file = batch.Add();
  file.input = index;
  file.row.row = row;
  file.row.object = object;
  file.row.ino = input->ino[index];
  const size_t used = batch.used;
  file.row.status = Fill(input, index, file, batch);
  if (file.row.status != kPacked)
    batch.used = used;
}

int Preparer::Fill(const std::shared_ptr<const PackInput>& input, uint32_t index, Prepared& file,
                   Batch& batch) {
  const int dirFd = directories_.Get(input, input->dir[index]);
  if (dirFd < 0)
    return GoneOr(dirFd);
  const InodeGate::Pass pass(gate_, input->ino[index]);
  Source source;
  const int found = OpenSource(dirFd, input->Name(index), input->ino[index], source);
  if (source.fd && found != kGone)
    FillRow(file.row, source);
  if (found != kPacked)
    return found;
  if (source.stamp.size > kSmallFile) {
    file.large = true;
    return kPacked;
  }
  if (const int status = ProbeOpen(source.fd.Get()); status != kPacked)
    return status;
  if (const int error = SettlePages(source.fd.Get()); error != 0)
    return error;
  if (const int status = Describe(source); status != 0)
    return status;
  file.row.handleHash = source.handleHash;
  if (const int status = ReadPayload(source, file, batch); status != 0)
    return status;
  if (!Unchanged(source))
    return kChanged;
  file.stat = source.stat;
  input->AppendPath(file.name, index);
  file.header.reserve(3 * kTarUnit);
  AppendHeaderOf(file.header, source, file.name, file.payload, file.sparse, file.row.object,
                 file.row.sha256.data());
  file.handle.assign(source.handle);
  file.row.headerLength = file.header.size();
  file.row.length = file.header.size() + PadToUnit(file.payload);
  return kPacked;
}

int Preparer::ReadPayload(Source& source, Prepared& file, Batch& batch) {
  if (const int error = LayoutOf(source.fd.Get(), source.stat, layout_); error != 0)
    return error;
  if (layout_.payload > Batch::kCapacity - batch.used)
    return -E2BIG;
  file.sparse = layout_.sparse;
  file.payloadAt = batch.used;
  file.payload = static_cast<size_t>(layout_.payload);
  uint8_t* const start = batch.bytes.get() + batch.used;
  memcpy(start, layout_.head.data(), layout_.head.size());
  uint8_t* to = start + layout_.head.size();
  for (const Segment& segment : layout_.segments) {
    if (const int status = ReadExactly(source.fd.Get(), to, segment.length, segment.offset); status != 0)
      return status;
    to += segment.length;
  }
  batch.used += file.payload;
  hash_.Update(start, file.payload);
  hash_.Final(file.row.sha256.data());
  return 0;
}

void AppendHeaderOf(std::string& out, const Source& source, std::string_view name, uint64_t payload,
                    bool sparse, const ObjectId& object, const uint8_t* sha256) {
  MemberHeader header = HeaderFrom(source.stat);
  header.name = name;
  header.size = source.stamp.size;
  header.payload = payload;
  header.sparse = sparse;
  header.object = &object;
  header.sha256 = sha256;
  header.handle = source.handle;
  header.aclAccess = source.aclAccess;
  header.aclDefault = source.aclDefault;
  header.xattrs = &source.xattrs;
  AppendMemberHeader(out, header);
}

std::string LinkHeader(const struct statx& stat, std::string_view name, std::string_view target,
                       const ObjectId& object) {
  MemberHeader header = HeaderFrom(stat);
  header.type = '1';
  header.name = name;
  header.link = target;
  header.object = &object;
  std::string out;
  AppendMemberHeader(out, header);
  return out;
}

int GoneOr(int error) {
  return error == -ENOENT || error == -ENOTDIR || error == -ELOOP ? static_cast<int>(kGone) : error;
}

void FillRow(MemberRow& row, const Source& source) {
  row.size = source.stamp.size;
  row.mtimeNs = source.stamp.mtimeNs;
  row.ctimeNs = source.stamp.ctimeNs;
  row.ino = source.stat.stx_ino;
  row.nlink = source.stat.stx_nlink;
  row.handleHash = source.handleHash;
}

} // namespace hsm
